/**
 * JWS ES256 (RFC 7515) and JWE ECDH-ES with A256GCM (RFC 7516, RFC 7518 4.6) on Node's crypto alone. The system uses a
 * library for both; what is wrong there cannot be wrong here in the same way.
 */
import {
  createCipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto';

type Members = Readonly<Record<string, unknown>>;

/** A P-256 public key with its id. */
export interface RecipientJwk {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
  readonly kid: string;
}

const encode = (value: Members | Uint8Array): string =>
  Buffer.from(value instanceof Uint8Array ? value : JSON.stringify(value)).toString('base64url');

/** A compact JWS over `claims`. */
export function signJwt(header: Members, claims: Members, privateKeyPem: string): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: privateKeyPem, dsaEncoding: 'ieee-p1363' });
  return `${input}.${encode(signature)}`;
}

function lengthFirst(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The content key: one round of the Concat KDF, as 256 bits are one SHA-256. */
function deriveKey(secret: Buffer, apu: string, apv: string): Buffer {
  const round = Buffer.from([0, 0, 0, 1]);
  const keyBits = Buffer.from([0, 0, 1, 0]);
  const parties = [apu, apv].map((party) => lengthFirst(Buffer.from(party, 'base64url')));
  const info = [lengthFirst(Buffer.from('A256GCM')), ...parties, keyBits];
  return createHash('sha256')
    .update(Buffer.concat([round, secret, ...info]))
    .digest();
}

/** A compact JWE. `more` adds header members; `apu` and `apv` among them go into the key derivation. */
export function encryptJwe(recipient: RecipientJwk, plaintext: string, more: Members = {}): string {
  const { kty, crv, x, y, kid } = recipient;
  const publicKey = createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
  const ephemeral = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const epk = ephemeral.publicKey.export({ format: 'jwk' });
  const header = encode({ alg: 'ECDH-ES', enc: 'A256GCM', kid, epk, ...more });
  const { apu, apv } = more;
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const party = (value: unknown): string => (typeof value === 'string' ? value : '');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(secret, party(apu), party(apv)), iv);
  cipher.setAAD(Buffer.from(header, 'ascii'));
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  return [header, '', encode(iv), encode(ciphertext), encode(cipher.getAuthTag())].join('.');
}
