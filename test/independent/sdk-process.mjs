/** The SDK in a process of its own: `ask(op, fields)` is one line there and one line back; a refusal throws with its `code`. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Starts one of the SDK's files of this folder with arguments. */
export function startSdk(file, ...args) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (op, fields = {}) => {
    child.stdin.write(`${JSON.stringify({ op, ...fields })}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the SDK’s process has ended');
    const answer = JSON.parse(value);
    if (answer.code !== undefined) throw Object.assign(new Error(answer.code), { code: answer.code });
    return answer;
  };
  return { ask, stop: () => child.stdin.end() };
}
