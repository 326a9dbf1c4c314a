/**
 * Encrypts what one station needs for one job: a JWE that only its payload key opens, for minutes (DESIGN §1.4).
 *
 * Invariant: the payload names station, job, epoch and end of life inside the encryption, so that it cannot be
 * used for another job; it holds no chip key.
 */
import { type Plan } from '@cardwright/dataprep';
import { type PayloadRequest, type PublicJwk, type StationPayload } from '@cardwright/protocol';
import { wipe } from '@cardwright/runtime';
import { calculateJwkThumbprint, CompactEncrypt, importJWK } from 'jose';
import { VaultRefusal } from './vault-refusal.ts';

/** No payload may live longer than this, whatever the server asks for. */
export const maxPayloadLifeMs = 60 * 60 * 1000;

async function importStationKey(jwk: PublicJwk): ReturnType<typeof importJWK> {
  try {
    return await importJWK({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, 'ECDH-ES');
  } catch {
    throw new VaultRefusal('STATION_KEY_INVALID', 'stationKey');
  }
}

/**
 * The payload of a plan as compact JWE (ECDH-ES, A256GCM).
 * @throws VaultRefusal STATION_KEY_INVALID, BAD_MESSAGE (`expiresAt`)
 */
export async function encryptStationPayload(
  plan: Plan,
  request: PayloadRequest,
  nowMs: number,
): Promise<string> {
  if (request.expiresAt <= nowMs || request.expiresAt > nowMs + maxPayloadLifeMs) {
    throw new VaultRefusal('BAD_MESSAGE', 'expiresAt');
  }
  const key = await importStationKey(request.stationKey);
  const payload: StationPayload = {
    jobId: request.jobId,
    stationId: request.stationId,
    epoch: request.epoch,
    expiresAt: request.expiresAt,
    design: plan.design,
    isTestCard: plan.isTestCard,
    print: plan.print,
    ...(plan.stripe !== undefined && { stripe: plan.stripe }),
    verification: plan.verification,
  };
  const plaintext = new TextEncoder().encode(JSON.stringify(payload));
  try {
    const kid = request.stationKey.kid ?? (await calculateJwkThumbprint(request.stationKey));
    return await new CompactEncrypt(plaintext)
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid })
      .encrypt(key);
  } finally {
    wipe(plaintext);
  }
}
