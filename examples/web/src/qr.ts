/** Codes to look at. */

import qrcode from 'qrcode-generator';
import { svg } from './dom.js';

/** The code as one path, with the quiet zone that scanners need. */
export function qrCode(payload: Uint8Array | string, label: string): SVGElement {
  const code = qrcode(0, 'L');
  if (typeof payload === 'string') code.addData(payload, 'Alphanumeric');
  else code.addData(String.fromCharCode(...payload), 'Byte');
  code.make();
  const size = code.getModuleCount();
  let path = '';
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) if (code.isDark(row, column)) path += `M${column} ${row}h1v1h-1z`;
  }
  return svg('svg', { viewBox: `-4 -4 ${size + 8} ${size + 8}`, role: 'img', 'aria-label': label }, svg('path', { d: path }));
}
