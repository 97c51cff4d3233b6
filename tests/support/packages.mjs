// The clients that people really use, from ../e2e/node_modules. They are loaded through that
// folder because Node looks for packages beside the importing file and above it only.
import { createRequire } from 'node:module';

/** Loads one by its name; some take a second, so who needs none of them should not wait for all. */
export const load = createRequire(new URL('../e2e/package.json', import.meta.url));
