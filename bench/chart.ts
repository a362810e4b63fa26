/** A chart as an SVG file of its own, without a library: panels of bars, readable on light and dark grounds. */

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Where the whisker begins and ends. */
  readonly low?: number;
  readonly high?: number;
  /** What is written beside it. */
  readonly text: string;
  readonly tone: 'own' | 'ownOther' | 'peer';
}
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** What all are measured by: bars then begin there, on a logarithmic scale. Else they begin at zero, on a linear one. */
  readonly reference?: number;
}

const COLUMN = 500;
const LABEL = 206;
const PLOT = 214;
const BAR = 18;
const HEAD = 34;
const GAP = 18;
const COLUMNS = 2;

const STYLE = `
  svg { --ground: #ffffff; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0; --own: #0a5fb5; --ownOther: #6ea8dc; --peer: #b35900; }
  @media (prefers-color-scheme: dark) {
    svg { --ground: #0d1117; --text: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --own: #58a6ff; --ownOther: #2f5f94; --peer: #f0883e; }
  }
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--text); }
  .title { font-weight: 600; font-size: 13px; }
  .quiet { fill: var(--quiet); }
  .ground { fill: var(--ground); }
  .line { stroke: var(--line); }
  .whisker { stroke: var(--text); stroke-width: 1.2; }
  .own { fill: var(--own); } .ownOther { fill: var(--ownOther); } .peer { fill: var(--peer); }`;

const escaped = (text: string): string => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
const px = (value: number): string => value.toFixed(1);

/** The file's text. `note` stands below; values are above zero. */
export function chart(title: string, note: string, panels: readonly Panel[]): string {
  const rows: (readonly Panel[])[] = [];
  for (let at = 0; at < panels.length; at += COLUMNS) rows.push(panels.slice(at, at + COLUMNS));
  let y = 40;
  const parts = rows.map((row) => {
    const drawn = row.map((each, column) => panel(each, 16 + column * COLUMN, y)).join('');
    y += HEAD + GAP + BAR * Math.max(...row.map(({ bars }) => bars.length));
    return drawn;
  });
  const width = COLUMNS * COLUMN + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 24}" width="${width}" height="${y + 24}" role="img" aria-label="${escaped(title)}">
<style>${STYLE}
</style>
<rect class="ground" width="100%" height="100%" rx="6"/>
<text class="title" x="16" y="24">${escaped(title)}</text>
${parts.join('')}<text class="quiet" x="16" y="${y + 8}">${escaped(note)}</text>
</svg>
`;
}

function panel({ title, bars, reference }: Panel, left: number, top: number): string {
  const values = bars.flatMap(({ value, low = value, high = value }) => [value, low, high]).concat(reference ?? []);
  const scaled = reference === undefined ? (value: number): number => value : Math.log;
  const least = reference === undefined ? 0 : Math.log(Math.min(...values));
  const scale = PLOT / (scaled(Math.max(...values)) - least || 1);
  const x = (value: number): number => left + LABEL + (scaled(value) - least) * scale;
  const from = x(reference ?? 0);
  const lines = bars.map(({ label, value, low, high, text, tone }, index) => {
    const y = top + HEAD + index * BAR;
    const middle = y + BAR / 2 - 2;
    const [start, end] = [Math.min(from, x(value)), Math.max(from, x(value))];
    const whisker =
      low === undefined || high === undefined
        ? ''
        : `<line class="whisker" x1="${px(x(low))}" x2="${px(x(high))}" y1="${px(middle)}" y2="${px(middle)}"/>`;
    return (
      `<text x="${left + LABEL - 8}" y="${y + 11}" text-anchor="end">${escaped(label)}</text>` +
      `<rect class="${tone}" x="${px(start)}" y="${y}" width="${px(Math.max(end - start, 1))}" height="${BAR - 4}"/>${whisker}` +
      `<text class="quiet" x="${px(Math.max(end, x(high ?? value)) + 6)}" y="${y + 11}">${escaped(text)}</text>\n`
    );
  });
  const height = HEAD + bars.length * BAR;
  const mark =
    reference === undefined ? '' : `<line class="line" x1="${px(from)}" x2="${px(from)}" y1="${top + HEAD - 6}" y2="${top + height}"/>\n`;
  return `<text class="title" x="${left}" y="${top + 20}">${escaped(title)}</text>\n${mark}${lines.join('')}`;
}
