/** All checks, one after another: every case of every file of vectors that fixes the protocol, then the live talks. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { talk } from './talk.mjs';
import * as bounds from './talk-bounds.mjs';
import { talkToClient } from './talk-client.mjs';
import { compareDecoders } from './talk-decoders.mjs';
import { joinSdk, linkSdk } from './talk-linking.mjs';
import { lockstep } from './talk-lockstep.mjs';
import { healing, startAtOnce } from './talk-sessions.mjs';
import { playFile } from './vectors.mjs';
import { playRest } from './vectors-rest.mjs';

const { values } = parseArgs({ options: { seed: { type: 'string' } } });
const seed = values.seed ?? randomBytes(4).toString('hex');
const say = (text) => process.stdout.write(`${text}\n`);
let passed = 0;
let failed = 0;
const count = (name, why) => {
  if (why === undefined) passed += 1;
  else {
    failed += 1;
    say(`FAIL ${name}: ${why}`);
  }
};

const FOLDER = new URL('../../test-vectors/', import.meta.url);
for (const name of readdirSync(FOLDER).filter((each) => each.endsWith('.json') && each !== 'schema.json')) {
  const file = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
  if (file.schema === undefined) {
    const results = playRest(name, file);
    for (const { id, why } of results) count(`${name} ${id}`, why);
    if (results.length > 0) say(`${name}: ${results.length} checks`);
    continue;
  }
  // A file whose outputs or verdicts are changed must fail, or nothing is compared.
  const valid = file.cases.find(({ result }) => result === 'valid');
  const changed = [
    { ...valid, outputs: { ...valid.outputs, another: 1 } },
    { ...valid, result: 'invalid', code: 'ERR_DECRYPT' },
  ];
  const isNoticed = playFile({ ...file, cases: changed }).every(({ why }) => why !== undefined);
  count(`${name} (changed)`, isNoticed ? undefined : 'a change goes unnoticed');
  const results = playFile(file);
  for (const { id, why } of results) count(`${name} ${id}`, why);
  say(`${name}: ${results.length} cases`);
}
// An empty folder must not look like a success.
if (passed + failed === 0) count('vectors', 'there are none');

say(`talks: seed ${seed}`);
const report = async (name, body) => {
  try {
    say(`${name}: ${JSON.stringify(await body())}`);
    count(name);
  } catch (error) {
    count(name, error.stack);
  }
};
const starterName = (starter) => (starter === 'ours' ? 'this side' : 'the SDK');
const jobs = [];
for (const profile of [1, 2, 3]) {
  for (const starter of ['ours', 'theirs']) {
    const unit = profile === 2 ? undefined : 7 * profile;
    jobs.push([`profile ${profile}, ${starterName(starter)} first`, (own) => talk({ seed: own, starter, profile, unit, count: 400 })]);
  }
}
for (const [starter, metadata, bandwidth, profile] of [
  ['ours', 'tag', 'standard', 1],
  ['theirs', 'sealed', 'lean', 2],
  ['ours', 'sealed', 'wide', 3],
]) {
  const options = { starter, metadata, bandwidth, profile, count: 60 };
  jobs.push([`client, profile ${profile}, ${metadata}, ${starterName(starter)} first`, (own) => talkToClient({ ...options, seed: own })]);
}
for (const [name, body] of Object.entries(bounds)) jobs.push([`bounds: ${name}`, body]);
jobs.push(['decoders', compareDecoders]);
jobs.push(['lockstep', lockstep]);
jobs.push(['linking: the SDK’s account, typed code', (own) => joinSdk(own, true)]);
jobs.push(['linking: the SDK’s account, QR code', (own) => joinSdk(own, false)]);
jobs.push(['linking: this side’s account', linkSdk]);
jobs.push(['sessions: both start at once', startAtOnce]);
jobs.push(['sessions: healing', healing]);

// A side that waits for ever must not keep whoever runs this.
setTimeout(() => {
  say(`FAIL: not at its end after ten minutes\n${passed} passed, ${failed + 1} failed`);
  process.exit(1);
}, 600_000).unref();

// Either of a talk's two processes waits for the other, so two talks at a time use two processors.
const lane = async () => {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    const [name, body] = job;
    await report(name, () => body(`${seed}/${name}`));
  }
};
await Promise.all([lane(), lane()]);
say(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
