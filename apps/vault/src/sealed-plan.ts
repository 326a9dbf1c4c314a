/**
 * The envelope in which a plan leaves the vault, and the only way back.
 *
 * Layout, base64url: `01 | length, issuerId | length, operationId | sealed bytes`. The two names are in the clear
 * and bound as additional data: a plan cannot be relabelled. Every failure to open looks alike.
 */
import { createHash } from 'node:crypto';
import { DataPreparationError, parsePlan, type Plan, serializePlan } from '@cardwright/dataprep';
import { KeyError, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { wipe } from '@cardwright/runtime';
import { VaultRefusal } from './vault-refusal.ts';

const version = 1;
const contextOf = (issuerId: string, operationId: string): string => `plan|${issuerId}|${operationId}`;

function named(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Uint8Array.of(bytes.length, ...bytes);
}

/** Seals a plan. `issuerId` and `operationId` were checked: at most 64 characters each. */
export async function sealPlan(keys: KeyPort, sealKey: KeyHandle, plan: Plan): Promise<string> {
  const bytes = serializePlan(plan);
  try {
    const sealed = await keys.seal(sealKey, bytes, contextOf(plan.issuerId, plan.operationId));
    const parts = [Uint8Array.of(version), named(plan.issuerId), named(plan.operationId), sealed];
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
  readonly sealed: Uint8Array;
}

function readEnvelope(sealedPlan: string): Envelope | undefined {
  const bytes = Buffer.from(sealedPlan, 'base64url');
  if (bytes.toString('base64url') !== sealedPlan || bytes[0] !== version) return undefined;
  const issuerEnd = 2 + (bytes[1] ?? 0);
  const operationEnd = issuerEnd + 1 + (bytes[issuerEnd] ?? 0);
  if (operationEnd >= bytes.length) return undefined;
  return {
    issuerId: bytes.toString('utf8', 2, issuerEnd),
    operationId: bytes.toString('utf8', issuerEnd + 1, operationEnd),
    sealed: bytes.subarray(operationEnd),
  };
}

/** Opens a sealed plan. @throws VaultRefusal PLAN_INVALID, alike for every cause */
export async function openPlan(keys: KeyPort, sealKey: KeyHandle, sealedPlan: string): Promise<Plan> {
  const envelope = readEnvelope(sealedPlan);
  if (envelope === undefined) throw new VaultRefusal('PLAN_INVALID', 'sealedPlan');
  let bytes: Uint8Array | undefined;
  try {
    const context = contextOf(envelope.issuerId, envelope.operationId);
    bytes = await keys.unseal(sealKey, envelope.sealed, context);
    return parsePlan(bytes);
  } catch (error) {
    const isExpected =
      error instanceof DataPreparationError || (error instanceof KeyError && error.code === 'SEAL_BROKEN');
    if (!isExpected) throw error;
    throw new VaultRefusal('PLAN_INVALID', 'sealedPlan');
  } finally {
    wipe(bytes);
  }
}
