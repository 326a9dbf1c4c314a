/** Chapters 3, 4 and 8: orders that are taken, repeated, in conflict or refused. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { assertNotEchoed, assertRefused } from './assert-answer.ts';
import { type ContractSystem, offlineStation } from './contract-system.ts';
import { type Answer, cardData, cardPath, encrypt, type Json, newCardId, newRequestId } from './d1-client.ts';
import { refusedJwes } from './refused-jwes.ts';
import { refusedOrders } from './refused-orders.ts';

const operationIdPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The operation of an accepted order: the documented member and nothing else. */
export function acceptedId(answer: Answer, what = 'the order'): string {
  assert.equal(answer.status, 202, `${what}: ${answer.text}`);
  assert.deepEqual(Object.keys(answer.body), ['operationId'], what);
  const id = String(answer.body['operationId']);
  assert.match(id, operationIdPattern, what);
  return id;
}

/** Waits in the queue of a station that never connects. */
const waiting = { persoStation: offlineStation };

function describeAccepted(of: () => ContractSystem): void {
  it('takes the documented order, and the least that may be said', async () => {
    const { client } = of();
    acceptedId(await client.order(newCardId(), client.orderBody(waiting)));
    const least = client.orderBody({
      ...waiting,
      cardProductId: undefined,
      consumerId: undefined,
      issuerRequestId: undefined,
      cardDesign: undefined,
      paymentApplication: { config: 'CCD_3DES_01', odaKeyIndex: 1, derivationKeyIndex: '1' },
    });
    acceptedId(await client.order(newCardId(), least));
    acceptedId(await client.order('A', client.orderBody(waiting)));
    acceptedId(await client.order('c-_'.repeat(16), client.orderBody(waiting)));
  });

  it('takes both spellings of the path and an escaped colon, in any combination', async () => {
    const { client } = of();
    const token = await client.fetchToken();
    const base = `/banking/v1/issuers/${client.issuer.issuerId}`;
    for (const cards of ['physicalCards', 'physicalcards']) {
      for (const colon of [':', '%3A', '%3a']) {
        const cardId = newCardId();
        const path = `${base}/${cards}/${cardId}/operations${colon}production`;
        const id = acceptedId(await client.call({ path, token, json: client.orderBody(waiting) }), path);
        for (const read of ['physicalCards', 'physicalcards']) {
          for (const status of ['productionStatus', 'productionstatus']) {
            const answer = await client.call({ path: `${base}/${read}/${cardId}/${status}`, token });
            assert.equal(answer.status, 200, answer.text);
            assert.equal((answer.body['operations'] as Json[])[0]?.['operationId'], id);
          }
        }
      }
    }
  });

  it('keeps a card apart that is called like a part of the path', async () => {
    const { client } = of();
    for (const cardId of ['physicalcards', 'productionstatus', 'operations']) {
      acceptedId(await client.order(cardId, client.orderBody(waiting)));
      const { operations } = (await client.status(cardId)).body as { operations: Json[] };
      assert.equal(operations[0]?.['cardId'], cardId);
    }
  });

  it('takes every documented option of an INSTANT order', async () => {
    const { client } = of();
    const everything: readonly Json[] = [
      { services: { issuance: 'RENEWAL' } },
      { services: { issuance: 'REPLACEMENT', priority: 'HIGH' } },
      {
        services: {
          issuance: 'CREATION',
          delivery: 'NO_SHIPMENT',
          cardCarrier: 'NO_CARRIER',
          packaging: 'NO_PACK',
          pinMailer: false,
          alphaCard: true,
        },
      },
      { cardDesign: { cardImage: 'img-1', images: ['a', 'b'], customLines: [], memberId: '' } },
      { cardDesign: { images: { left: 'a' }, customLines: { top: '山田 太郎', bottom: '' } } },
      { cardDesign: {} },
    ];
    for (const change of everything) {
      const body = client.orderBody({ ...waiting, ...change });
      acceptedId(await client.order(newCardId(), body), JSON.stringify(change));
    }
    const lenient = { 'content-type': 'Application/JSON; charset=UTF-8' };
    acceptedId(await client.order(newCardId(), client.orderBody(waiting), lenient));
    const { issuer } = client;
    for (const header of [
      { typ: 'JOSE', cty: 'json' },
      { apu: 'QQ', apv: 'Qg' },
    ]) {
      const encryptedData = encrypt(issuer.recipientJwk, cardData(), header);
      const cardId = newCardId();
      acceptedId(await client.order(cardId, client.orderBody({ ...waiting, encryptedData })));
      await of().sandbox.until('the data to be opened', async () => {
        const { operations } = (await client.status(cardId)).body as { operations: Json[] };
        const { status } = operations[0]?.['details'] as Json;
        return status === 'CARD_PROD_READY' ? true : undefined;
      });
    }
  });
}

function describeReplays(of: () => ContractSystem): void {
  it('answers the same request with the same operation, also when it is encrypted anew', async () => {
    const { client } = of();
    const cardId = newCardId();
    const card = cardData();
    const seal = (): string => encrypt(client.issuer.recipientJwk, card);
    const body = client.orderBody({ ...waiting, encryptedData: seal() });
    const first = acceptedId(await client.order(cardId, body));
    const same: Json[] = [
      body,
      { ...body, encryptedData: seal() },
      { ...Object.fromEntries(Object.entries(body).reverse()) },
      { ...body, services: { issuance: 'CREATION', pinMailer: false, delivery: 'NO_SHIPMENT' } },
      {
        ...body,
        paymentApplication: {
          config: 'CCD_3DES_01',
          odaKeyIndex: 1,
          derivationKeyIndex: '1',
          cvKeyIndex: '001',
        },
      },
    ];
    for (const [at, repeat] of same.entries()) {
      assert.equal(acceptedId(await client.order(cardId, repeat)), first, String(at));
    }
    const racing = await Promise.all(Array.from({ length: 8 }, () => client.order(cardId, body)));
    assert.deepEqual([...new Set(racing.map((answer) => acceptedId(answer)))], [first]);
    assert.equal(((await client.status(cardId)).body['operations'] as Json[]).length, 1);
  });

  it('calls other content under the same request id a conflict, and changes nothing', async () => {
    const { client } = of();
    const cardId = newCardId();
    const body = client.orderBody(waiting);
    const first = acceptedId(await client.order(cardId, body));
    const others: Json[] = [
      { encryptedData: encrypt(client.issuer.recipientJwk, cardData()) },
      { services: { issuance: 'RENEWAL' } },
      { services: { issuance: 'CREATION', priority: 'HIGH' } },
      { services: { issuance: 'CREATION', alphaCard: true } },
      { consumerId: 'cons-0043' },
      { consumerId: undefined },
      { cardDesign: { customLines: ['CREDIT'], memberId: 'M123456' } },
      { persoStation: 'KIOSK-PS-101' },
    ];
    for (const change of others) {
      const answer = await client.order(cardId, { ...body, ...change });
      assertRefused(answer, 409, 'CONFLICT', 'issuerRequestId', JSON.stringify(change));
    }
    const { operations } = (await client.status(cardId)).body as { operations: Json[] };
    assert.deepEqual(
      operations.map((one) => one['operationId']),
      [first],
    );
    acceptedId(await client.order(newCardId(), body), 'the same request id for another card');
  });

  it('allows one live operation per card, whatever issuance says, with and without a request id', async () => {
    const { client } = of();
    const cardId = newCardId();
    acceptedId(await client.order(cardId, client.orderBody({ ...waiting, issuerRequestId: undefined })));
    for (const issuance of ['CREATION', 'RENEWAL', 'REPLACEMENT']) {
      for (const issuerRequestId of [undefined, newRequestId()]) {
        const body = client.orderBody({ ...waiting, services: { issuance }, issuerRequestId });
        assertRefused(await client.order(cardId, body), 409, 'CONFLICT', 'cardId', issuance);
      }
    }
  });
}

function describeRefusals(of: () => ContractSystem): void {
  const newCanary = (): string => {
    const canary = `CNRY${randomBytes(5).toString('hex').toUpperCase()}`;
    of().canaries.add(canary);
    return canary;
  };

  it(`refuses ${String(refusedOrders.length)} wrong orders, each with its code and field`, async () => {
    const { client } = of();
    for (const { what, errorCode, field, change } of refusedOrders) {
      const canary = newCanary();
      const good = client.orderBody();
      const cardId = newCardId();
      const answer = await client.order(cardId, { ...good, ...change(canary, good) });
      assertRefused(answer, 400, errorCode, field, what);
      assertNotEchoed(answer, canary, what);
      assert.equal((await client.status(cardId)).status, 404, `${what}: nothing was taken in`);
    }
  });

  it(`refuses ${String(refusedJwes.length)} JWEs that need no opening, naming encryptedData`, async () => {
    const { client } = of();
    for (const { what, make } of refusedJwes) {
      const canary = newCanary();
      const good = encrypt(client.issuer.recipientJwk, cardData());
      const body = client.orderBody({ encryptedData: make(good, canary) });
      const answer = await client.order(newCardId(), body);
      assertRefused(answer, 400, 'FIELD_INVALID_VALUE', 'encryptedData', what);
      assertNotEchoed(answer, canary, what);
    }
  });

  it("does not let one issuer order at another's station or read its cards", async () => {
    const { client, otherClient } = of();
    const answer = await otherClient.order(newCardId(), otherClient.orderBody());
    assertRefused(answer, 400, 'FIELD_INVALID_VALUE', 'persoStation', 'their station');
    const cardId = newCardId();
    acceptedId(await client.order(cardId, client.orderBody(waiting)));
    assertRefused(await otherClient.status(cardId), 404, 'NOT_FOUND', /./, 'their card under our path');
    const path = `${cardPath(client.issuer.issuerId, cardId)}/productionStatus`;
    const peek = await otherClient.call({ path, token: await otherClient.fetchToken() });
    assertRefused(peek, 403, 'FORBIDDEN', /./, 'their card under their path');
  });
}

export function describeOrders(of: () => ContractSystem): void {
  describe('an order', () => {
    describeAccepted(of);
  });
  describe('a repeated order', () => {
    describeReplays(of);
  });
  describe('a wrong order', () => {
    describeRefusals(of);
  });
}
