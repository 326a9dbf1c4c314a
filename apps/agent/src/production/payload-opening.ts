/**
 * Opens what the vault encrypted to this station for one job: print fields and verification facts.
 *
 * Invariants: fixed algorithms, no compression; the payload must name this station, this job and this epoch and
 * must not have ended, all inside the encryption; decrypted bytes are wiped and never touch the disk (I7). A
 * refusal names a rule, never a value.
 */
import { readFileSync } from 'node:fs';
import { check, parseStrictJson, type StationJob, StationPayload } from '@cardwright/protocol';
import { wipe } from '@cardwright/runtime';
import { compactDecrypt, importPKCS8 } from 'jose';

export type PayloadKey = Awaited<ReturnType<typeof importPKCS8>>;

export type PayloadFailure =
  'ABSENT' | 'UNREADABLE' | 'MALFORMED' | 'OTHER_STATION' | 'OTHER_JOB' | 'OTHER_EPOCH' | 'EXPIRED';

export type OpenedPayload =
  | { readonly ok: true; readonly payload: StationPayload }
  | { readonly ok: false; readonly reason: PayloadFailure };

/** Reads the station's payload key. @throws when the file is not a PKCS#8 P-256 key */
export async function readPayloadKey(file: string): Promise<PayloadKey> {
  const pem = readFileSync(file);
  try {
    return await importPKCS8(pem.toString('ascii'), 'ECDH-ES');
  } finally {
    wipe(pem);
  }
}

const failed = (reason: PayloadFailure): OpenedPayload => ({ ok: false, reason });

/** Opens and judges the payload of a claimed job. Never throws for what the server sent. */
export async function openPayload(
  key: PayloadKey,
  stationId: string,
  job: StationJob,
  nowMs: number,
): Promise<OpenedPayload> {
  if (job.payload === undefined) return failed('ABSENT');
  let plaintext: Uint8Array;
  try {
    const opened = await compactDecrypt(job.payload, key, {
      keyManagementAlgorithms: ['ECDH-ES'],
      contentEncryptionAlgorithms: ['A256GCM'],
      maxDecompressedLength: 0,
    });
    plaintext = opened.plaintext;
  } catch {
    return failed('UNREADABLE');
  }
  try {
    return judge(plaintext, stationId, job, nowMs);
  } finally {
    wipe(plaintext);
  }
}

function judge(plaintext: Uint8Array, stationId: string, job: StationJob, nowMs: number): OpenedPayload {
  const parsed = parseStrictJson(new TextDecoder().decode(plaintext));
  const checked = parsed.ok ? check(StationPayload, parsed.value) : undefined;
  if (checked?.ok !== true) return failed('MALFORMED');
  const payload = checked.value;
  if (payload.stationId !== stationId) return failed('OTHER_STATION');
  if (payload.jobId !== job.jobId) return failed('OTHER_JOB');
  if (payload.epoch !== job.epoch) return failed('OTHER_EPOCH');
  if (payload.expiresAt <= nowMs) return failed('EXPIRED');
  return { ok: true, payload };
}
