/**
 * The ticket between "begin" and "script": it carries our host challenge through server and agent, sealed behind the
 * version of the sealing key (2 bytes).
 *
 * Invariants: a ticket belongs to one job, epoch, station and plan, and lives for minutes; one ticket meets one
 * answer of one chip: the same answer again gives the same script, another one is refused, so that no challenge
 * opens two sessions (I11).
 */
import { KeyError, type KeyPort } from '@cardwright/keys';
import { check } from '@cardwright/protocol';
import { type Static, Type } from 'typebox';
import { type KeyFamily } from './key-family.ts';
import { sealedPlanHash } from './sealed-plan.ts';

export const ticketLifeMs = 5 * 60 * 1000;
const ticketContext = 'chip-ticket';

const Ticket = Type.Object(
  {
    hostChallenge: Type.String({ pattern: '^[0-9A-F]{16}$' }),
    jobId: Type.String(),
    epoch: Type.Integer(),
    stationId: Type.String(),
    planHash: Type.String(),
    expiresAt: Type.Integer(),
  },
  { additionalProperties: false },
);
type Ticket = Static<typeof Ticket>;

/** What a ticket is bound to, as both requests name it. */
export interface TicketBinding {
  readonly jobId: string;
  readonly epoch: number;
  readonly stationId: string;
  readonly sealedPlan: string;
}

/** Seals a ticket for a fresh host challenge (hex, 8 bytes). */
export async function sealTicket(
  keys: KeyPort,
  seals: KeyFamily,
  binding: TicketBinding,
  hostChallenge: string,
  nowMs: number,
): Promise<string> {
  const ticket: Ticket = {
    hostChallenge,
    jobId: binding.jobId,
    epoch: binding.epoch,
    stationId: binding.stationId,
    planHash: sealedPlanHash(binding.sealedPlan),
    expiresAt: nowMs + ticketLifeMs,
  };
  const text = new TextEncoder().encode(JSON.stringify(ticket));
  const version = Buffer.alloc(2);
  version.writeUInt16BE(seals.currentVersion);
  const sealed = await keys.seal(seals.current, text, ticketContext);
  return Buffer.concat([version, sealed]).toString('base64url');
}

/** The ticket's host challenge (hex), or undefined when it is not valid for this request, alike for every cause. */
export async function openTicket(
  keys: KeyPort,
  seals: KeyFamily,
  sealedTicket: string,
  binding: TicketBinding,
  nowMs: number,
): Promise<string | undefined> {
  const read = Buffer.from(sealedTicket, 'base64url');
  const sealKey = read.length > 2 ? seals.version(read.readUInt16BE(0)) : undefined;
  if (sealKey === undefined) return undefined;
  let bytes: Uint8Array;
  try {
    bytes = await keys.unseal(sealKey, read.subarray(2), ticketContext);
  } catch (error) {
    if (error instanceof KeyError && error.code === 'SEAL_BROKEN') return undefined;
    throw error;
  }
  const checked = check(Ticket, JSON.parse(new TextDecoder().decode(bytes)) as unknown);
  if (!checked.ok) return undefined;
  const ticket = checked.value;
  const isBound =
    ticket.jobId === binding.jobId &&
    ticket.epoch === binding.epoch &&
    ticket.stationId === binding.stationId &&
    ticket.planHash === sealedPlanHash(binding.sealedPlan);
  return isBound && nowMs < ticket.expiresAt ? ticket.hostChallenge : undefined;
}

/** Remembers which answer each host challenge met. Memory only: a restart forgets, tickets then still expire. */
export class TicketUses {
  readonly #answers = new Map<string, { answer: string; forgetAt: number }>();

  /** True when this challenge meets its first answer, or the same one again. */
  admit(hostChallenge: string, answer: string, nowMs: number): boolean {
    for (const [challenge, use] of this.#answers) {
      // Insertion order is time order, so the first one that is still alive ends the sweep.
      if (use.forgetAt > nowMs) break;
      this.#answers.delete(challenge);
    }
    const known = this.#answers.get(hostChallenge);
    if (known !== undefined) return known.answer === answer;
    this.#answers.set(hostChallenge, { answer, forgetAt: nowMs + ticketLifeMs });
    return true;
  }
}
