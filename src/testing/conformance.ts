/** One runnable promise of a port. `run` resolves if it is kept and rejects with an `Error` that says what was expected. */
export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}
