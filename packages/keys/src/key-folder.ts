/**
 * Long-lived keys at rest: one sealed file per key.
 *
 * Invariants: a key file is complete and durable or absent (written aside, fsynced, linked to its name, folder
 * fsynced); an existing key is never overwritten, also not by a second process; name, algorithm, usage and
 * environment are authenticated with the key, so that a changed, renamed or swapped file does not open.
 *
 * Layout: `CWK1 | header length (2) | header JSON | sealed box`, everything before the box being additional data.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type KeyAlgorithm, KeyError, type KeyUsage } from './key-port.ts';
import { algorithmsByUsage, keyUsages } from './key-usage.ts';
import { closeBox, openBox } from './sealed-box.ts';

interface StoredKeyHeader {
  readonly name: string;
  readonly algorithm: KeyAlgorithm;
  readonly usage: KeyUsage;
  readonly environment: 'test' | 'production';
}

export interface StoredKey {
  readonly header: StoredKeyHeader;
  /** Raw bytes of a symmetric key, PKCS#8 DER of an asymmetric one. The caller wipes it. */
  readonly value: Uint8Array;
}

const magic = Buffer.from('CWK1', 'ascii');
const extension = '.key';
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9._-]{1,64}){0,3}$/;

export function isKeyName(name: string): boolean {
  return namePattern.test(name);
}

/** `imk-ac/1` lives in `imk-ac~1.key`: `~` is no character of a name. */
function fileNameOf(name: string): string {
  return name.replaceAll('/', '~') + extension;
}

/**
 * Opens every key in the folder, creating the folder (0700) when absent.
 * @throws KeyError KEY_STORE when one file does not open under this master key, names another key or environment
 */
export async function readKeyFolder(
  folder: string,
  masterKey: Uint8Array,
  environment: 'test' | 'production',
): Promise<StoredKey[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = (await readdir(folder)).filter((file) => file.endsWith(extension)).sort();
  return Promise.all(files.map((file) => readKeyFile(folder, file, masterKey, environment)));
}

async function readKeyFile(
  folder: string,
  file: string,
  masterKey: Uint8Array,
  environment: 'test' | 'production',
): Promise<StoredKey> {
  const bytes = await readFile(join(folder, file)).catch((error: unknown) => {
    if ((error as { code?: string }).code === 'ENOENT')
      throw new KeyError('KEY_STORE', `key file ${file} is gone`);
    throw error;
  });
  const stored = openKeyFile(bytes, masterKey);
  if (!stored) {
    throw new KeyError('KEY_STORE', `key file ${file} was changed or sealed under another master key`);
  }
  const { header, value } = stored;
  if (fileNameOf(header.name) === file && header.environment === environment) return stored;
  value.fill(0);
  if (header.environment !== environment) {
    throw new KeyError('KEY_STORE', `key ${header.name} belongs to the ${header.environment} environment`);
  }
  throw new KeyError('KEY_STORE', `key file ${file} holds key ${header.name}`);
}

function openKeyFile(bytes: Buffer, masterKey: Uint8Array): StoredKey | undefined {
  const prefix = magic.length + 2;
  if (bytes.length < prefix || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  const boxStart = prefix + bytes.readUInt16BE(magic.length);
  if (bytes.length < boxStart) return undefined;
  const value = openBox(masterKey, bytes.subarray(0, boxStart), bytes.subarray(boxStart));
  // The header is read only after it proved authentic.
  return value && { header: parseHeader(bytes.subarray(prefix, boxStart)), value };
}

function parseHeader(bytes: Buffer): StoredKeyHeader {
  const header = JSON.parse(bytes.toString('utf8')) as StoredKeyHeader;
  const isKnown =
    keyUsages.includes(header.usage) && algorithmsByUsage[header.usage].includes(header.algorithm);
  if (!isKnown) throw new KeyError('KEY_STORE', `key ${header.name} has a usage this version does not know`);
  return header;
}

/**
 * Writes a new key durably.
 * @returns false when a key of that name exists already (nothing changed)
 */
export async function writeKeyFile(
  folder: string,
  masterKey: Uint8Array,
  header: StoredKeyHeader,
  value: Uint8Array,
): Promise<boolean> {
  const { name, algorithm, usage, environment } = header;
  const json = Buffer.from(JSON.stringify({ name, algorithm, usage, environment }), 'utf8');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(json.length);
  const prefix = Buffer.concat([magic, length, json]);
  const sealed = Buffer.concat([prefix, closeBox(masterKey, prefix, value)]);

  const aside = join(folder, `${randomUUID()}.new`);
  await writeDurably(aside, sealed);
  try {
    // link() never replaces: two processes that generate the same key cannot destroy each other's.
    await link(aside, join(folder, fileNameOf(name)));
  } catch (error) {
    if (isExisting(error)) return false;
    throw error;
  } finally {
    await unlink(aside);
  }
  await syncFolder(folder);
  return true;
}

/** One stored key, for the process that lost the race to create it. */
export async function readStoredKey(
  folder: string,
  masterKey: Uint8Array,
  environment: 'test' | 'production',
  name: string,
): Promise<StoredKey> {
  return readKeyFile(folder, fileNameOf(name), masterKey, environment);
}

/** Removes a key file durably; one that is gone already is fine. */
export async function removeKeyFile(folder: string, name: string): Promise<void> {
  await rm(join(folder, fileNameOf(name)), { force: true });
  await syncFolder(folder);
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}
