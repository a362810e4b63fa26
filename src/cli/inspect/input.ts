/** What a person has: bytes, or text in which they stand as hexadecimal, base64, armoured, as a typed code, or in JSON. */

import { decodeUtf8, fromHex } from '../../bytes.js';
import { readLinkCode } from '../../identity/link-code.js';
import { type Explanation, explain } from './explain.js';

/** Something that was recognised, and where: a path of a JSON text, of a long one its end, or nothing. */
export interface Found {
  readonly path: string;
  readonly explanation: Explanation;
}

/** What was found, and how many texts of a JSON are nothing of ours. */
export interface Findings {
  readonly found: readonly Found[];
  readonly unknown: number;
}

/** Tab, line feed, carriage return. */
const WHITE = [9, 10, 13];
const HEX = /^[0-9a-fA-F:]+$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const ARMOUR = /^\s*-----BEGIN [^-]+-----\r?\n([A-Za-z0-9+/_=\s-]+?)\r?\n-----END [^-]+-----\s*$/;

/** Of a JSON: how deep it is looked through, and how many characters of a path are kept. What is of use is neither so deep nor so long. */
const [MAX_DEPTH, MAX_PATH] = [64, 200];

/** Explains a file's bytes, or a text's. */
export function inspectBytes(bytes: Uint8Array): Findings {
  const text = bytes.every((byte) => byte >= 0x20 || WHITE.includes(byte)) ? decodeUtf8(bytes) : undefined;
  return text === undefined ? findings(explain(bytes)) : inspectText(text);
}

/** Explains what somebody typed or pasted. */
export function inspectText(text: string): Findings {
  if (/^\s*[[{]/.test(text)) return inspectJson(text);
  const code = typedCode(text);
  if (code !== undefined) return findings(code);
  const bytes = bytesOf(ARMOUR.exec(text)?.[1] ?? text);
  return findings(bytes && explain(bytes));
}

const findings = (explanation: Explanation | undefined): Findings =>
  explanation === undefined ? { found: [], unknown: 1 } : { found: [{ path: '', explanation }], unknown: 0 };

/** Hexadecimal first: it is base64 as well. */
function bytesOf(text: string): Uint8Array | undefined {
  const dense = text.replace(/\s/g, '');
  if (HEX.test(dense)) {
    const bytes = fromHex(dense.replace(/:/g, '').toLowerCase());
    if (bytes !== undefined) return bytes;
  }
  if (!BASE64.test(dense)) return undefined;
  const base64 = dense.replace(/=/g, '').replace(/-/g, '+').replace(/_/g, '/');
  if (base64.length % 4 === 1) return undefined;
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

function typedCode(text: string): Explanation | undefined {
  if (text.length > 64) return undefined;
  try {
    readLinkCode(text);
  } catch {
    return undefined;
  }
  const lengthBytes = text.trim().length;
  const part = { name: 'fingerprint', offset: 0, lengthBytes, meaning: '14 bytes and a checksum that fits, not shown' };
  return { kind: 'code of a linking (typed)', section: '5.1', lengthBytes, parts: [part] };
}

/** Every text in a JSON that is something of ours, damaged or not; what is nested too deep counts as one that is not. */
function inspectJson(text: string): Findings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { found: [], unknown: 1 };
  }
  const found: Found[] = [];
  let unknown = 0;
  const visit = (value: unknown, path: string, depth: number): void => {
    if (typeof value === 'string') {
      const bytes = bytesOf(value);
      const explanation = bytes && explain(bytes, true);
      if (explanation === undefined) unknown++;
      else found.push({ path, explanation });
    } else if (typeof value === 'object' && value !== null && depth === MAX_DEPTH) {
      unknown++;
    } else if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) visit(item, endOf(`${path}[${i}]`), depth + 1);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) visit(item, endOf(path === '' ? key : `${path}.${key}`), depth + 1);
    }
  };
  visit(json, '', 0);
  return { found, unknown };
}

const endOf = (path: string): string => (path.length <= MAX_PATH ? path : `…${path.slice(-MAX_PATH)}`);
