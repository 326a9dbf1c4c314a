/**
 * The contract with a D1 issuer, played against the real system by a client that knows nothing but the documentation.
 * At the end everything that was sent and must be nowhere is looked for in every log and database.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { scanForCanaries } from '@cardwright/testkit';
import { type ContractSystem, startContractSystem } from './contract-system.ts';
import { describeDescription } from './description-contract.ts';
import { describeOrders } from './order-contract.ts';
import { describeOutcomes } from './outcome-contract.ts';
import { describeTokens } from './token-contract.ts';
import { describeTransport } from './transport-contract.ts';

describe('the D1 contract', () => {
  let system: ContractSystem | undefined;
  const of = (): ContractSystem => {
    assert.ok(system, 'the system is up');
    return system;
  };
  before(async () => {
    system = await startContractSystem();
  });
  after(async () => {
    await system?.[Symbol.asyncDispose]();
  });

  describeTransport(of);
  describeTokens(of);
  describeDescription(of);
  describeOrders(of);
  describeOutcomes(of);

  it('leaves nothing behind of what it refused: not in a log, not in a database', async () => {
    const { sandbox, folder, canaries } = of();
    await sandbox.supervisor.stop();
    assert.ok(canaries.size > 100, `${String(canaries.size)} canaries`);
    const places = ['server', 'agent', 'issuer', join('vault', 'vault.log')].map((name) =>
      join(folder, name),
    );
    const scan = scanForCanaries(
      places,
      [...canaries].map((value) => ({ name: value.slice(0, 4), value })),
    );
    assert.ok(scan.filesScanned >= 8, `${String(scan.filesScanned)} files`);
    assert.deepEqual(scan.hits, []);
  });
});
