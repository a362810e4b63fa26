/** A page that breaks its policy when told to: proof that violations are counted. */

/** Adds a script of its own text to the document; answers whether it ran. */
export function addInlineScript(): boolean {
  const script = document.createElement('script');
  script.textContent = 'globalThis.inlineScriptRan = true;';
  document.head.append(script);
  return 'inlineScriptRan' in globalThis;
}
