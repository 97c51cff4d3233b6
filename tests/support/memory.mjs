// What a gateway has in memory.
import { readFile, writeFile } from 'node:fs/promises';
import assert from 'node:assert/strict';

/** Bytes of this row of /proc/PID/status. */
async function status(gateway, row) {
  const text = await readFile(`/proc/${gateway.run.pid}/status`, 'utf8');
  return Number(new RegExp(`${row}:\\s+(\\d+)`).exec(text)[1]) * 1024;
}

/** Bytes that it has in memory. */
export const resident = (gateway) => status(gateway, 'VmRSS');

/**
 * Runs fn, during which the gateway must never have more than this many bytes more than before.
 * With the address sanitizer that is true where it does not keep what is freed:
 * ASAN_OPTIONS=quarantine_size_mb=0:thread_local_quarantine_size_kb=0.
 */
export async function withinMemory(gateway, bytes, fn) {
  await writeFile(`/proc/${gateway.run.pid}/clear_refs`, '5'); // the highest so far is forgotten
  const before = await resident(gateway);
  const result = await fn();
  const grown = await status(gateway, 'VmHWM') - before;
  assert.ok(grown < bytes, `grown by ${grown >> 10} KiB, of ${bytes >> 10}`);
  return result;
}
