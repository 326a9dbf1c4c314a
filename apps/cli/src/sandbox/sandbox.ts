/**
 * The whole system on one machine: provision, start in order, talk to it, stop it.
 *
 * Order matters only for the first start: the issuer needs the vault's public key. Afterwards any process may
 * die and come back in any order.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { check, operatorPaths, OrderView, vaultPaths, VaultPublicKeys } from '@cardwright/protocol';
import { createMtlsClient, type MtlsClient } from '@cardwright/runtime';
import { sandboxFacts, type SandboxLayout } from './layout.ts';
import { provisionSandbox, type SandboxSettings, writeIssuerConfig } from './provision.ts';
import { createSupervisor, type Supervisor, type SupervisorOptions } from './supervisor.ts';

export interface IssuedCard {
  readonly cardId: string;
  readonly operationId: string;
}

/** The issuer's first answer: it has stored the order, and repeats it until the API takes it. */
interface AcceptedCard {
  readonly cardId: string;
  readonly operationId: string | null;
}

/** A card as the reference issuer sees it. */
export interface IssuerCardView extends IssuedCard {
  readonly status: string;
  readonly detailsStatus: string;
  readonly errorCode?: string;
  readonly notifications: readonly Record<string, unknown>[];
}

export interface Sandbox {
  readonly layout: SandboxLayout;
  readonly supervisor: Supervisor;
  readonly urls: Readonly<Record<'issuerApp' | 'issuerApi' | 'openApi' | 'operatorApi', string>>;
  issueCard(request: Readonly<Record<string, unknown>>): Promise<IssuedCard>;
  issuerView(cardId: string): Promise<IssuerCardView>;
  orderView(operationId: string): Promise<OrderView>;
  /** Calls `look` until it returns a value. @throws after `limitMs`, naming `what` */
  until<T>(what: string, look: () => Promise<T | undefined>, limitMs?: number): Promise<T>;
  stop(): Promise<void>;
}

/** A client of the vault of the sandbox in `layout`. */
export function vaultClient(layout: SandboxLayout): MtlsClient {
  return createMtlsClient({
    origin: `https://localhost:${String(layout.ports.vault)}`,
    caFile: join(layout.pki, 'internal-ca.pem'),
    certFile: join(layout.operator, 'vault-client.pem'),
    keyFile: join(layout.operator, 'vault-client.key'),
  });
}

async function fetchRecipientKey(layout: SandboxLayout): Promise<unknown> {
  const client = vaultClient(layout);
  try {
    const answer = await client.request({ method: 'GET', path: vaultPaths.publicKeys });
    const checked = check(VaultPublicKeys, JSON.parse(answer.body));
    if (!checked.ok) throw new Error(`the vault's public keys are malformed at ${checked.field}`);
    const key = checked.value.recipientKeys.find((entry) => entry.issuerId === sandboxFacts.issuerId);
    if (key === undefined) throw new Error('the vault has no key for the sandbox issuer');
    return key.jwk;
  } finally {
    await client.close();
  }
}

/** A client of the operator API of the sandbox in `layout`. */
export function operatorClient(layout: SandboxLayout): MtlsClient {
  return createMtlsClient({
    origin: `https://localhost:${String(layout.ports.operator)}`,
    caFile: join(layout.pki, 'server-ca.pem'),
    certFile: join(layout.operator, 'operator.pem'),
    keyFile: join(layout.operator, 'operator.key'),
  });
}

/** What an operator sees of an order. @throws when the answer is not an order */
export async function readOrderView(client: MtlsClient, operationId: string): Promise<OrderView> {
  const answer = await client.request({ method: 'GET', path: operatorPaths.order(operationId) });
  if (answer.status !== 200) throw new Error(`the operator API answered ${String(answer.status)}`);
  const checked = check(OrderView, JSON.parse(answer.body));
  if (!checked.ok) throw new Error(`the order view is malformed at ${checked.field}`);
  return checked.value;
}

/** Asks the reference issuer, over its loopback API. @throws with the issuer's own words on refusal */
export async function askIssuer(origin: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(`${origin}${path}`, {
    ...(body === undefined
      ? {}
      : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the issuer refused (${String(answer.status)}): ${text}`);
  return JSON.parse(text) as unknown;
}

/** Orders a card and resolves when the order has its operation id. @throws when that takes more than two minutes */
export async function issueCardThrough(
  origin: string,
  request: Readonly<Record<string, unknown>>,
): Promise<IssuedCard> {
  let card = (await askIssuer(origin, '/api/cards', request)) as AcceptedCard;
  const deadline = Date.now() + 120_000;
  while (card.operationId === null) {
    if (Date.now() > deadline)
      throw new Error(`card ${card.cardId} is stored, but the issuer API does not take orders`);
    await pause(50);
    card = (await askIssuer(origin, `/api/cards/${card.cardId}`)) as AcceptedCard;
  }
  return { cardId: card.cardId, operationId: card.operationId };
}

/** Brings the whole system up. @throws ComponentStartError when a process cannot start */
export async function startSandbox(
  settings: SandboxSettings,
  options: Pick<SupervisorOptions, 'environment' | 'onRestart'> = {},
): Promise<Sandbox> {
  const layout = await provisionSandbox(settings);
  const supervisor = createSupervisor({ layout, ...options });
  const operator = operatorClient(layout);
  const issuerApp = `http://127.0.0.1:${String(layout.ports.issuerApp)}`;
  const stop = async (): Promise<void> => {
    await supervisor.stop();
    await operator.close();
  };
  try {
    await Promise.all([supervisor.start('vault'), supervisor.start('simulator')]);
    writeIssuerConfig(layout, await fetchRecipientKey(layout));
    await supervisor.start('server');
    await Promise.all([supervisor.start('agent'), supervisor.start('issuer')]);
  } catch (error) {
    await stop();
    throw error;
  }
  const issuerApi = `https://localhost:${String(layout.ports.issuerApi)}`;
  return {
    layout,
    supervisor,
    urls: {
      issuerApp,
      issuerApi,
      openApi: `${issuerApi}/openapi.json`,
      operatorApi: `https://localhost:${String(layout.ports.operator)}`,
    },
    issueCard: (request) => issueCardThrough(issuerApp, request),
    issuerView: async (cardId) => (await askIssuer(issuerApp, `/api/cards/${cardId}`)) as IssuerCardView,
    orderView: (operationId) => readOrderView(operator, operationId),
    until: async (what, look, limitMs = 60_000) => {
      const deadline = Date.now() + limitMs;
      for (;;) {
        const found = await look();
        if (found !== undefined) return found;
        if (Date.now() > deadline) throw new Error(`gave up after ${String(limitMs)} ms: ${what}`);
        await pause(40);
      }
    },
    stop,
  };
}
