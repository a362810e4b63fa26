/** What a page must be to those who don't see it, or don't see it well: checked in the page itself, on what is visible. */

import assert from 'node:assert/strict';
import type { Page } from 'puppeteer-core';

const SCREENS = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];

/** Nothing is wrong with what is on the screen, in either theme, and on a phone. */
export async function isAccessible(page: Page): Promise<void> {
  for (const screen of SCREENS) {
    await page.setViewport(screen);
    for (const theme of ['light', 'dark']) {
      await page.evaluate((chosen) => document.documentElement.setAttribute('data-theme', chosen), theme);
      assert.deepEqual(await accessibilityProblems(page), [], `${theme}, ${screen.width} wide`);
    }
  }
  await page.setViewport(SCREENS[0]!);
}

/** What is wrong with what is on the screen: names, landmarks, references, sizes, contrast. Empty if all is well. */
function accessibilityProblems(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const problems: string[] = [];
    // What is on its way to another colour is judged by where it goes.
    for (const animation of document.getAnimations()) {
      if (animation.effect?.getComputedTiming().endTime === Number.POSITIVE_INFINITY) animation.cancel();
      else animation.finish();
    }
    const modal = document.querySelector('dialog:modal');
    const root: ParentNode = modal ?? document.body;
    const all = [...root.querySelectorAll<HTMLElement>('*')].filter((element) => element.checkVisibility({ visibilityProperty: true }));
    const say = (element: Element): string =>
      `<${element.tagName.toLowerCase()} id="${element.id}" class="${element.getAttribute('class')}">`;

    /** The words that stand for an element, hidden decoration left out. */
    const words = (node: Node): string => {
      if (node instanceof Text) return node.data;
      if (!(node instanceof Element) || node.getAttribute('aria-hidden') === 'true') return '';
      return node.getAttribute('aria-label') ?? [...node.childNodes].map(words).join('');
    };
    const nameOf = (element: HTMLElement): string => {
      const labelledBy = element.getAttribute('aria-labelledby');
      if (labelledBy !== null)
        return labelledBy
          .split(' ')
          .map((id) => words(document.getElementById(id)!))
          .join(' '); // prettier-ignore
      const labels = 'labels' in element ? [...((element as HTMLInputElement).labels ?? [])] : [];
      return element.getAttribute('aria-label') ?? (labels.length > 0 ? labels.map(words).join(' ') : words(element));
    };
    for (const element of all.filter((each) =>
      each.matches('button, input, textarea, select, a[href], [tabindex="0"], dialog, nav, aside'),
    )) {
      if (nameOf(element).trim() === '') problems.push(`no name: ${say(element)}`);
    }
    for (const element of all) {
      for (const attribute of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for']) {
        const ids = element.getAttribute(attribute)?.split(' ') ?? [];
        for (const id of ids) if (document.getElementById(id) === null) problems.push(`${attribute} names nothing: ${say(element)}`);
      }
      if (element.tabIndex > 0) problems.push(`an order of its own: ${say(element)}`);
    }
    for (const image of all.filter((each) => each.matches('svg:not(svg svg)'))) {
      const isNamed = image.getAttribute('role') === 'img' && image.hasAttribute('aria-label');
      if (image.closest('[aria-hidden="true"]') === null && !isNamed) problems.push(`an image without a name: ${say(image)}`);
    }
    for (const control of all.filter((each) => each.matches('button'))) {
      const { width, height } = control.getBoundingClientRect();
      // WCAG 2.2 asks for 24 pixels; links in running text and the line under a name are as high as their line.
      if ((width < 24 || height < 24) && !control.matches('.trust')) problems.push(`too small: ${say(control)} ${width}×${height}`);
    }
    if (document.documentElement.lang === '') problems.push('no language');
    if (document.title === '') problems.push('no title');
    if (modal === null) {
      const count = (selector: string): number => all.filter((each) => each.matches(selector)).length;
      if (count('main') > 1) problems.push('more than one main part');
      if (count('main') === 1 && count('h1') !== 1) problems.push(`${count('h1')} headings of the first level`);
      if (document.documentElement.scrollWidth > innerWidth) problems.push('wider than the screen');
    }

    // Contrast of all text, 4.5 : 1.
    const channels = (color: string): number[] => (color.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (color: string): number => {
      const [r = 0, g = 0, b = 0] = channels(color).map((channel) => {
        const share = channel / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const groundOf = (element: Element | null): string => {
      for (let at = element; at !== null; at = at.parentElement) {
        const ground = getComputedStyle(at).backgroundColor;
        const alpha = channels(ground)[3] ?? 1;
        if (alpha === 1) return ground;
        if (alpha > 0) problems.push(`half-transparent ground: ${say(at)}`);
      }
      return 'rgb(255, 255, 255)';
    };
    const check = (element: Element, color: string): void => {
      const [light = 0, dark = 0] = [luminance(color), luminance(groundOf(element))].sort((a, b) => b - a);
      const ratio = (light + 0.05) / (dark + 0.05);
      if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${say(element)} ${color} on ${groundOf(element)}`);
    };
    for (const element of all) {
      if (element.closest('.sr, svg, :disabled') !== null) continue;
      if ([...element.childNodes].some((node) => node instanceof Text && node.data.trim() !== ''))
        check(element, getComputedStyle(element).color);
      if (element.matches('[placeholder]')) check(element, getComputedStyle(element, '::placeholder').color);
    }
    return problems;
  });
}
