/** JWEs that can be refused without opening them (OD-3.9, OD-8.1 to OD-8.3), each made from a good one. */
import { type Json } from './d1-client.ts';

type Parts = [header: string, key: string, iv: string, ciphertext: string, tag: string];

export interface RefusedJwe {
  readonly what: string;
  readonly make: (good: string, canary: string) => string;
}

const encode = (text: string): string => Buffer.from(text, 'utf8').toString('base64url');

const withParts =
  (change: (parts: Parts, canary: string) => readonly string[]): RefusedJwe['make'] =>
  (good, canary) =>
    change(good.split('.') as Parts, canary).join('.');

/** Another header in front of the same content. */
const withHeader = (change: (header: Json, canary: string) => unknown): RefusedJwe['make'] =>
  withParts(([header, ...rest], canary) => {
    const members = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as Json;
    const changed = change(members, canary);
    return [encode(typeof changed === 'string' ? changed : JSON.stringify(changed)), ...rest];
  });

const member = (name: string, value: unknown): RefusedJwe['make'] =>
  withHeader((header) => ({ ...header, [name]: value }));
const epk = (change: Json): RefusedJwe['make'] =>
  withHeader((header) => ({ ...header, epk: { ...(header['epk'] as Json), ...change } }));
const bytes = (length: number): string => Buffer.alloc(length, 7).toString('base64url');

export const refusedJwes: readonly RefusedJwe[] = [
  { what: 'no text', make: () => '' },
  { what: 'a text that is no JWE', make: (_good, canary) => canary },
  { what: 'four parts', make: withParts((parts) => parts.slice(0, 4)) },
  { what: 'six parts', make: withParts((parts, canary) => [...parts, canary]) },
  { what: 'an encrypted key', make: withParts(([h, , i, c, t], canary) => [h, encode(canary), i, c, t]) },
  { what: 'an IV of 11 bytes', make: withParts(([h, k, , c, t]) => [h, k, bytes(11), c, t]) },
  { what: 'a tag of 15 bytes', make: withParts(([h, k, i, c]) => [h, k, i, c, bytes(15)]) },
  { what: 'no ciphertext', make: withParts(([h, k, i, , t]) => [h, k, i, '', t]) },
  { what: 'padding', make: withParts(([h, k, i, c, t]) => [h, k, i, `${c}==`, t]) },
  { what: 'the other base64 alphabet', make: withParts(([h, k, i, c, t]) => [h, k, i, `${c}+/`, t]) },
  { what: 'a blank before it', make: (good) => ` ${good}` },
  { what: 'more than 8192 characters', make: (good) => good.padEnd(8193, 'A') },
  { what: 'a header that is no JSON', make: withHeader((_header, canary) => canary) },
  { what: 'a header that is a list', make: withHeader((header) => [header]) },
  {
    what: 'a header with a member twice',
    make: withHeader((header) => `{"alg":"ECDH-ES",${JSON.stringify(header).slice(1)}`),
  },
  ...['alg', 'enc', 'kid', 'epk'].map((name) => ({ what: `no ${name}`, make: member(name, undefined) })),
  ...['ECDH-ES+A256KW', 'RSA-OAEP', 'dir', 'none'].map((alg) => ({ what: alg, make: member('alg', alg) })),
  ...['A128GCM', 'A256CBC-HS512', 'A192GCM'].map((enc) => ({ what: enc, make: member('enc', enc) })),
  { what: 'compression', make: member('zip', 'DEF') },
  { what: 'critical extensions', make: member('crit', ['exp']) },
  { what: 'a key by reference', make: member('jku', 'https://example.test/keys') },
  { what: 'a key in the header', make: member('jwk', { kty: 'EC' }) },
  { what: 'a certificate by reference', make: member('x5u', 'https://example.test/cert') },
  { what: 'a certificate in the header', make: member('x5c', ['AA']) },
  {
    what: 'a kid that nobody has',
    make: withHeader((header, canary) => ({ ...header, kid: canary })),
  },
  { what: 'a kid with a slash', make: withHeader((header, canary) => ({ ...header, kid: `../${canary}` })) },
  { what: 'a kid that is a number', make: member('kid', 1) },
  { what: 'an apu that is no base64url', make: member('apu', '*') },
  { what: 'an ephemeral key of another curve', make: epk({ crv: 'P-384' }) },
  { what: 'an ephemeral key of another type', make: epk({ kty: 'OKP' }) },
  { what: 'an ephemeral key off the curve', make: epk({ y: bytes(32) }) },
  { what: 'an ephemeral key without y', make: epk({ y: undefined }) },
  { what: 'a short coordinate', make: epk({ x: bytes(31) }) },
  { what: 'a private ephemeral key', make: epk({ d: bytes(32) }) },
];
