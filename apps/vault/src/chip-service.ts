/**
 * The chip's side of the vault: the first command with our challenge, then the whole wrapped script for the card
 * that answered it.
 *
 * Invariants: a card is checked before a single command is made for it; only protocols that the product allows
 * are spoken; a challenge opens one session; keys never leave, only wrapped commands do.
 */
import { type Plan, planInstances } from '@cardwright/dataprep';
import { hex, issuerSecurityDomainAid, unhex } from '@cardwright/emv';
import { type KeyHandle, type KeyPort } from '@cardwright/keys';
import { beginSecureChannel, createPersonalizationScript } from '@cardwright/personalization';
import {
  type ChipBeginAnswer,
  type VaultChipBeginRequest,
  type VaultScriptAnswer,
  type VaultScriptRequest,
} from '@cardwright/protocol';
import { openTicket, sealTicket, TicketUses } from './chip-ticket.ts';
import { type KeyFamily } from './key-family.ts';
import { openPlan } from './sealed-plan.ts';

export interface ChipServiceOptions {
  readonly keys: KeyPort;
  readonly seals: KeyFamily;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export class ChipService {
  readonly #options: ChipServiceOptions;
  readonly #ticketUses = new TicketUses();

  constructor(options: ChipServiceOptions) {
    this.#options = options;
  }

  /** A fresh challenge for one job. @throws VaultRefusal PLAN_INVALID */
  async begin(request: VaultChipBeginRequest): Promise<ChipBeginAnswer> {
    const { keys, seals, now } = this.#options;
    await openPlan(keys, seals, request.sealedPlan);
    const { initializeUpdate, hostChallenge } = beginSecureChannel(keys);
    return {
      securityDomainAid: issuerSecurityDomainAid,
      initializeUpdate: hex(initializeUpdate),
      ticket: await sealTicket(keys, seals, request, hex(hostChallenge), now()),
    };
  }

  /** The script for the card that answered, or a refusal as a value. @throws VaultRefusal PLAN_INVALID */
  async script(request: VaultScriptRequest): Promise<VaultScriptAnswer> {
    const { keys, seals, now } = this.#options;
    const { plan, sealKey } = await openPlan(keys, seals, request.sealedPlan);
    const hostChallenge = await openTicket(keys, seals, request.ticket, request, now());
    if (
      hostChallenge === undefined ||
      !this.#ticketUses.admit(hostChallenge, request.initializeUpdateResponse, now())
    ) {
      return { result: 'refused', reason: 'TICKET_INVALID' };
    }
    const made = await createPersonalizationScript(keys, {
      ...(await this.#masterKeys(plan)),
      hostChallenge: unhex(hostChallenge),
      initializeUpdateResponse: unhex(request.initializeUpdateResponse),
      allowedProtocols: plan.secureChannels.map(({ protocol }) => protocol),
      instances: planInstances(plan, keys, sealKey),
      packing: plan.packing,
    });
    if (!made.ok) return { result: 'refused', reason: made.reason };
    return { result: 'ok', script: made.script, terminate: made.terminate };
  }

  async #masterKeys(plan: Plan): Promise<{ kmcScp02?: KeyHandle; kmcScp03?: KeyHandle }> {
    const found: { kmcScp02?: KeyHandle; kmcScp03?: KeyHandle } = {};
    for (const { protocol, masterKey } of plan.secureChannels) {
      const key = await this.#options.keys.find(masterKey);
      if (protocol === 'SCP02') found.kmcScp02 = key;
      else found.kmcScp03 = key;
    }
    return found;
  }
}
