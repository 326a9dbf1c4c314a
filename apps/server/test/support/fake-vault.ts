/**
 * A stand-in for the vault process: speaks its protocol over real mutual TLS and really opens the JWE, but
 * prepares nothing. Tests decide whether it answers.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import { type AddressInfo } from 'node:net';
import { maskPan } from '@cardwright/domain';
import { vaultPaths } from '@cardwright/protocol';
import { mtlsServerOptions, type ServerTlsFiles } from '@cardwright/runtime';
import { compactDecrypt, type CryptoKey, exportJWK, generateKeyPair } from 'jose';

export interface FakeVault {
  readonly origin: string;
  readonly recipientJwk: { kty: 'EC'; crv: 'P-256'; x: string; y: string; kid: string };
  /** When false, every call fails with 500. */
  isUp: boolean;
  /** When set, scripts are refused with this reason. */
  scriptRefusal: string | undefined;
  /** When set, cryptograms are not confirmed, for this reason. */
  cryptogramRefusal: string | undefined;
  /** When set, every call is refused with this. */
  refusal: { readonly status: number; readonly code: string } | undefined;
  /** Paths of all calls that were answered. */
  readonly calls: string[];
  close(): Promise<void>;
}

type Json = Record<string, unknown>;

async function readBody(stream: AsyncIterable<Buffer>): Promise<Json> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString('utf8')) as Json);
}

async function open(key: CryptoKey, jwe: unknown): Promise<Json | undefined> {
  try {
    const { plaintext } = await compactDecrypt(String(jwe), key);
    return JSON.parse(Buffer.from(plaintext).toString('utf8')) as Json;
  } catch {
    return undefined;
  }
}

function fingerprintOf(card: Json): string {
  const canonical = JSON.stringify(Object.entries(card).sort(([a], [b]) => (a < b ? -1 : 1)));
  return createHash('sha256').update(canonical).digest('base64url');
}

function prepare(card: Json | undefined): Json {
  if (card === undefined)
    return { result: 'rejected', errorCode: 'DATA_JWE_INVALID', field: 'encryptedData' };
  if (typeof card['pan'] !== 'string' || card['exp'] === '0000') {
    return { result: 'rejected', errorCode: 'DATA_FIELD_INVALID', field: 'encryptedData.exp' };
  }
  return {
    result: 'prepared',
    sealedPlan: randomBytes(48).toString('base64url'),
    maskedPan: maskPan(card['pan']),
    panToken: createHash('sha256').update('token').update(card['pan']).digest('base64url'),
    fingerprint: fingerprintOf(card),
  };
}

async function answer(
  vault: FakeVault,
  key: CryptoKey,
  issuerIds: string[],
  path: string,
  body: Json,
): Promise<Json> {
  const { recipientJwk } = vault;
  switch (path) {
    case vaultPaths.publicKeys:
      return {
        recipientKeys: issuerIds.map((issuerId) => ({ issuerId, jwk: recipientJwk })),
        products: [],
        capks: [],
      };
    case vaultPaths.prepare:
      return prepare(await open(key, body['encryptedData']));
    case vaultPaths.fingerprint: {
      const card = await open(key, body['encryptedData']);
      return card === undefined
        ? { result: 'rejected', field: 'encryptedData' }
        : { result: 'ok', fingerprint: fingerprintOf(card) };
    }
    case vaultPaths.payload:
      return { payload: `payload-for-epoch-${String(body['epoch'])}` };
    case vaultPaths.chipBegin:
      return { securityDomainAid: 'A000000151000000', initializeUpdate: '8050000008', ticket: 'a-ticket' };
    case vaultPaths.script:
      return vault.scriptRefusal === undefined
        ? {
            result: 'ok',
            script: [{ apdu: '84820300', expect: ['9000'], label: 'EXTERNAL AUTHENTICATE' }],
            terminate: [null, { apdu: '84F080FF', expect: ['9000'], label: 'SET STATUS' }],
          }
        : { result: 'refused', reason: vault.scriptRefusal };
    case vaultPaths.cryptogram:
      return vault.cryptogramRefusal === undefined
        ? { confirmed: body['evidence'] !== undefined }
        : { confirmed: false, reason: vault.cryptogramRefusal };
    default:
      throw new Error('no such path');
  }
}

export async function startFakeVault(tls: ServerTlsFiles, issuerIds: string[]): Promise<FakeVault> {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256', extractable: true });
  const { x = '', y = '' } = await exportJWK(publicKey);
  const server: Server = createServer(mtlsServerOptions(tls), (request, reply) => {
    void (async () => {
      const body = await readBody(request);
      if (!vault.isUp) {
        reply.writeHead(500).end();
        return;
      }
      if (vault.refusal !== undefined) {
        const { status, code } = vault.refusal;
        reply.writeHead(status, { 'content-type': 'application/json' });
        reply.end(JSON.stringify({ code, field: '' }));
        return;
      }
      const json = await answer(vault, privateKey, issuerIds, request.url ?? '', body);
      vault.calls.push(request.url ?? '');
      reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const vault: FakeVault = {
    origin: `https://localhost:${String((server.address() as AddressInfo).port)}`,
    recipientJwk: { kty: 'EC', crv: 'P-256', x, y, kid: 'recipient-1' },
    isUp: true,
    scriptRefusal: undefined,
    cryptogramRefusal: undefined,
    refusal: undefined,
    calls: [],
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return vault;
}
