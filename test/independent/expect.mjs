/** What a talk expects. */

/** Throws unless `holds`. */
export function must(holds, why) {
  if (!holds) throw new Error(why);
}

/** The code with which something was refused; 'nothing' if it was not. */
export async function refusalOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code ?? String(error);
  }
  return 'nothing';
}
