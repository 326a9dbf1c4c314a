/**
 * The envelope in which a plan leaves the vault, and the only way back.
 *
 * Layout, base64url: `02 | length, issuerId | length, operationId | version of the sealing key (2) | sealed bytes`;
 * `01` has no version and means the first. The two names are in the clear and bound as additional data: a plan cannot
 * be relabelled. Every failure to open looks alike.
 */
import { createHash } from 'node:crypto';
import { DataPreparationError, parsePlan, type Plan, serializePlan } from '@cardwright/dataprep';
import { KeyError, type KeyErrorCode, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { wipe } from '@cardwright/runtime';
import { type KeyFamily } from './key-family.ts';
import { VaultRefusal } from './vault-refusal.ts';

/** Without and with the version of the sealing key. */
const firstLayout = 1;
const layout = 2;
const contextOf = (issuerId: string, operationId: string): string => `plan|${issuerId}|${operationId}`;

function named(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Uint8Array.of(bytes.length, ...bytes);
}

/** Seals a plan. `issuerId` and `operationId` were checked: at most 64 characters each. */
export async function sealPlan(keys: KeyPort, seals: KeyFamily, plan: Plan): Promise<string> {
  const bytes = serializePlan(plan);
  try {
    const sealed = await keys.seal(seals.current, bytes, contextOf(plan.issuerId, plan.operationId));
    const version = Buffer.alloc(2);
    version.writeUInt16BE(seals.currentVersion);
    const parts = [Uint8Array.of(layout), named(plan.issuerId), named(plan.operationId), version, sealed];
    return Buffer.concat(parts).toString('base64url');
  } finally {
    wipe(bytes);
  }
}

/** Hash that ties a ticket to one sealed plan, base64url. */
export function sealedPlanHash(sealedPlan: string): string {
  return createHash('sha256').update(sealedPlan).digest('base64url');
}

interface Envelope {
  readonly issuerId: string;
  readonly operationId: string;
  readonly keyVersion: number;
  readonly sealed: Uint8Array;
}

function readEnvelope(sealedPlan: string): Envelope | undefined {
  const bytes = Buffer.from(sealedPlan, 'base64url');
  const [form] = bytes;
  if (bytes.toString('base64url') !== sealedPlan || (form !== layout && form !== firstLayout))
    return undefined;
  const issuerEnd = 2 + (bytes[1] ?? 0);
  const operationEnd = issuerEnd + 1 + (bytes[issuerEnd] ?? 0);
  const sealedStart = form === layout ? operationEnd + 2 : operationEnd;
  if (sealedStart >= bytes.length) return undefined;
  return {
    issuerId: bytes.toString('utf8', 2, issuerEnd),
    operationId: bytes.toString('utf8', issuerEnd + 1, operationEnd),
    keyVersion: form === layout ? bytes.readUInt16BE(operationEnd) : 1,
    sealed: bytes.subarray(sealedStart),
  };
}

export interface OpenedPlan {
  readonly plan: Plan;
  /** What the plan, and the ICC key in it, were sealed under. */
  readonly sealKey: KeyHandle;
}

/** A broken seal, or a sealing key that has expired or was destroyed. */
const unopened: readonly KeyErrorCode[] = ['SEAL_BROKEN', 'KEY_RETIRED', 'KEY_NOT_FOUND'];

/** Opens a sealed plan. @throws VaultRefusal PLAN_INVALID, alike for every cause */
export async function openPlan(keys: KeyPort, seals: KeyFamily, sealedPlan: string): Promise<OpenedPlan> {
  const envelope = readEnvelope(sealedPlan);
  const sealKey = envelope && seals.version(envelope.keyVersion);
  if (envelope === undefined || sealKey === undefined) throw new VaultRefusal('PLAN_INVALID', 'sealedPlan');
  let bytes: Uint8Array | undefined;
  try {
    const context = contextOf(envelope.issuerId, envelope.operationId);
    bytes = await keys.unseal(sealKey, envelope.sealed, context);
    return { plan: parsePlan(bytes), sealKey };
  } catch (error) {
    const isExpected =
      error instanceof DataPreparationError || (error instanceof KeyError && unopened.includes(error.code));
    if (!isExpected) throw error;
    throw new VaultRefusal('PLAN_INVALID', 'sealedPlan');
  } finally {
    wipe(bytes);
  }
}
