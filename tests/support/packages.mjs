// The clients that people really use, from ../e2e/node_modules. They are loaded through that
// folder because Node looks for packages beside the importing file and above it only.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../e2e/package.json', import.meta.url));

export const { EventSource } = require('eventsource');
export const WebSocket = require('ws');
export const kafkajs = require('kafkajs');
export const { chromium } = require('playwright-core');
