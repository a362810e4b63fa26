/** The little that the page needs to make elements. Strings become text nodes and attribute values, never markup. */

type Child = Node | string | undefined;

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element #${id}`);
  return found as T;
}

/** An element with attributes and children. `true` sets an attribute without value; `false` and `undefined` set none. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag: string, attributes: Readonly<Record<string, string>>, ...children: readonly Node[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A symbol of the sheet in index.html; decoration only, so its meaning must stand beside it in words. */
export function icon(name: string): SVGElement {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

/** Words for screen readers only. */
export function spoken(text: string): HTMLElement {
  return el('span', { class: 'sr' }, text);
}

/** A person's initial on a colour of their own. */
export function avatar(account: string): HTMLElement {
  const element = el('span', { class: 'avatar', 'aria-hidden': 'true' }, [...account][0]?.toUpperCase());
  let hue = 0;
  for (const letter of account) hue = (hue * 31 + letter.codePointAt(0)!) % 360;
  element.style.setProperty('--hue', String(hue));
  return element;
}

/** Says something to screen readers, politely. */
export function announce(text: string): void {
  byId('announcer').textContent = text;
}
