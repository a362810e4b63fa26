/**
 * When a device that stays connected proves itself again: soon after it did something, and then at intervals as long as it does more.
 *
 * A relay can tell a restored or copied store only by what was proved after the copy was made. Knows neither proofs nor connections;
 * without activity nothing runs.
 */

/** From the first activity to its proof, in ms: short runs are proved too, and what belongs together is proved at once. */
const SOON_MS = 5_000;
/** From one proof to the next, in ms. Each costs two signatures and commits here, and a synced write at the relay. */
const INTERVAL_MS = 60_000;

/** The renewals of one connection. */
export interface Renewal {
  /** The store has gone on: it is proved within `SOON_MS`, or `INTERVAL_MS` after the last time. */
  note(): void;
  /** For good. */
  stop(): void;
}

/** Calls `prove` when it is due; what rejects is due again at the next interval. */
export function renewal(prove: () => Promise<unknown>): Renewal {
  let isDue = false;
  let isPlanned = false;
  let isStopped = false;
  let timer: ReturnType<typeof setTimeout>;

  function plan(ms: number): void {
    isPlanned = true;
    timer = setTimeout(run, ms);
  }

  async function run(): Promise<void> {
    isPlanned = isDue;
    if (!isDue) return;
    isDue = false;
    await prove().catch(() => {
      isDue = true;
    });
    if (!isStopped) plan(INTERVAL_MS);
  }

  return {
    note() {
      isDue = true;
      if (!isPlanned && !isStopped) plan(SOON_MS);
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
