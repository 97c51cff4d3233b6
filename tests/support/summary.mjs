// A reporter for `node --test`: one line for each test, "pass", "fail" or "skip", a tab and its name;
// behind a skipped one, in parentheses, why. tools/test adds them up.

const fileOf = (data) => (data.file ?? '').replace(/^.*\/|\.test\.mjs$/g, '');

export default async function* summary(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite' && type === 'test:pass' && !data.skip) continue;
    // A suite fails with its tests, which are told on their own; only its hooks fail by themselves.
    const cause = data.details?.error;
    if (data.details?.type === 'suite' && cause?.failureType === 'subtestsFailed') continue;
    const word = data.skip !== undefined ? 'skip' : type === 'test:pass' ? 'pass' : 'fail';
    const reason = typeof data.skip === 'string' ? ` (${data.skip})` : '';
    yield `${word}\t${fileOf(data)}: ${data.name}${reason}\n`.replace(/\n(?!$)/g, ' ');
  }
}
