/** Takes keys from a pool without end and prints each modulus; its parent kills it. Arguments: folder, file, sizes. */
import { text } from 'node:stream/consumers';
import { writeSync } from 'node:fs';
import { openIccKeyPool, openSoftwareKeys } from '../src/index.ts';

const [folder, file, ...lengths] = process.argv.slice(2);
const sizes = lengths.map((bits) => ({ bits: Number(bits), targetSize: 4 }));
if (folder === undefined || file === undefined) throw new Error('folder and file are needed');
const masterKey = Buffer.from(await text(process.stdin), 'hex');
const keys = await openSoftwareKeys({ folder, masterKey, environment: 'test' });
const sealKey = await keys.find('seal/1');
const pool = openIccKeyPool({ keys, sealKey, file, sizes, exponent: 3 });
await pool.filled();
for (;;) {
  for (const { bits } of sizes) {
    const key = await pool.take(bits);
    const { modulus } = await keys.rsaPublic(key);
    writeSync(1, `${Buffer.from(modulus).toString('hex').toUpperCase()}\n`);
    await keys.release(key);
  }
}
