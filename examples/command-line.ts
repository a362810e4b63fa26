/** What the commands share: `--help`, and what went wrong in a sentence, where whoever typed the command can mend it. */

/** A fault of what was typed. */
export class TypedWrong extends Error {}

interface SystemError extends Error {
  readonly code?: string;
  readonly port?: number;
}

/** Says it and ends, before anything else is done; a stack trace is for faults of the program. */
export function speakPlainly(usage: string): void {
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    console.log(usage);
    process.exit(0);
  }
  process.on('uncaughtException', (error: SystemError) => {
    const { code = '', port, message } = error;
    if (error instanceof TypedWrong || /^ERR_(?:PARSE_ARGS|SOCKET_BAD_PORT)/.test(code)) {
      console.error(`${message}\n${usage}`);
      process.exit(2);
    }
    if (code === 'EADDRINUSE')
      console.error(`Port ${port} is taken: something else listens there, perhaps this command in another terminal.\n${usage}`);
    else if (code === 'EACCES' || code === 'ENOENT' || code === 'EADDRNOTAVAIL') console.error(message);
    else if ((error.cause as SystemError | undefined)?.code === 'LEVEL_LOCKED') console.error('Another process has this folder open.');
    else console.error(error);
    process.exit(1);
  });
}
