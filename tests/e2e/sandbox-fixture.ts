/** A whole system in a temporary folder, with what end-to-end tests ask about it afterwards. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OrderView } from '@cardwright/protocol';
import { type ComponentName, type SandboxLayout } from '../../apps/cli/src/sandbox/layout.ts';
import { provisionSandbox, type SandboxSettings } from '../../apps/cli/src/sandbox/provision.ts';
import { freePorts } from '../../apps/cli/src/sandbox/free-ports.ts';
import { type IssuerCardView, type Sandbox, startSandbox } from '../../apps/cli/src/sandbox/sandbox.ts';

export interface FixtureOptions {
  readonly secureChannel?: 'SCP02' | 'SCP03';
  readonly faults?: readonly string[];
  readonly takeAfterMs?: number | null;
  readonly tokenKeys?: Readonly<Record<string, unknown>>;
  readonly databaseUrl?: string;
  /** Changes the provisioned folder before anything starts. */
  readonly prepare?: (layout: SandboxLayout) => Promise<void>;
  readonly environment?: Partial<Record<ComponentName, Readonly<Record<string, string>>>>;
}

export interface Fixture extends AsyncDisposable {
  readonly folder: string;
  readonly sandbox: Sandbox;
}

/** Starts a sandbox; disposing it stops every process and removes the folder. */
export async function startFixture(options: FixtureOptions = {}): Promise<Fixture> {
  const parent = mkdtempSync(join(tmpdir(), 'cardwright-e2e-'));
  const folder = join(parent, 'data');
  const settings: SandboxSettings = {
    folder,
    ports: await freePorts(),
    secureChannel: options.secureChannel ?? 'SCP03',
    timing: 'fast',
    faults: options.faults ?? [],
    takeAfterMs: options.takeAfterMs === undefined ? 100 : options.takeAfterMs,
    ...(options.tokenKeys !== undefined && { tokenKeys: options.tokenKeys }),
    ...(options.databaseUrl !== undefined && { databaseUrl: options.databaseUrl }),
  };
  await options.prepare?.(await provisionSandbox(settings));
  const sandbox = await startSandbox(
    settings,
    options.environment === undefined ? {} : { environment: options.environment },
  );
  return {
    folder,
    sandbox,
    [Symbol.asyncDispose]: async () => {
      await sandbox.stop();
      rmSync(parent, { recursive: true, force: true });
    },
  };
}

export interface FinishedCard {
  readonly cardId: string;
  readonly order: OrderView;
  readonly issuer: IssuerCardView;
}

/** Waits until the issuer has been told the end and the card, if there is one, was handed over. */
export async function awaitFinished(
  sandbox: Sandbox,
  card: { readonly cardId: string; readonly operationId: string },
  limitMs = 60_000,
): Promise<FinishedCard> {
  return sandbox.until(
    `card ${card.cardId} to be finished`,
    async () => {
      // Processes may be down in the middle of a crash test: that is the point, ask again.
      const seen = await Promise.all([
        sandbox.orderView(card.operationId),
        sandbox.issuerView(card.cardId),
      ]).catch(() => undefined);
      if (seen === undefined) return undefined;
      const [order, issuer] = seen;
      const isTold = issuer.status === 'SUCCESSFUL' || issuer.status === 'FAILED';
      const isHandedOver =
        order.state !== 'done' || order.handOver === 'taken' || order.handOver === 'retracted';
      return isTold && isHandedOver ? { cardId: card.cardId, order, issuer } : undefined;
    },
    limitMs,
  );
}

export interface DeskCard {
  readonly serial: string;
  readonly position: string;
  readonly personalised?: boolean;
}

/** The simulated desk's own ledger: what physically happened, whatever any software believes. */
export function physicalCards(fixture: Fixture): readonly DeskCard[] {
  const file = join(fixture.sandbox.layout.component('simulator'), 'data', 'desk.json');
  assert.ok(existsSync(file), 'the desk keeps a ledger');
  const desk = JSON.parse(readFileSync(file, 'utf8')) as { readonly cards: readonly DeskCard[] };
  return desk.cards.filter((card) => card.position !== 'feeder');
}

/** I1 and I3 against the physical ledger: SUCCESSFUL if and only if exactly one card left the machine. */
export function assertExactlyOneTruth(fixture: Fixture, finished: FinishedCard): void {
  const taken = physicalCards(fixture).filter((card) => card.position === 'taken');
  assert.equal(
    taken.length,
    finished.issuer.status === 'SUCCESSFUL' ? 1 : 0,
    JSON.stringify(physicalCards(fixture)),
  );
  assert.equal(
    physicalCards(fixture).some((card) => !['taken', 'rejected', 'retracted'].includes(card.position)),
    false,
    'no card is left inside the machine',
  );
}
