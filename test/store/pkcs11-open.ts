/** A process of its own: opens what another one sealed with the same token, and prints the SHA-256 of it. */

import { createHash } from 'node:crypto';
import { pkcs11Slot } from '../../src/store/pkcs11.js';
import { MODULE, PIN } from './pkcs11-soft.js';

const [token, sealed, ad] = process.argv.slice(2) as [string, string, string];
const masterKey = await pkcs11Slot({ module: MODULE, token, pin: () => PIN }).open(Buffer.from(sealed, 'hex'), Buffer.from(ad, 'hex'));
process.stdout.write(createHash('sha256').update(masterKey).digest('hex'));
