// Whom a primary tells of news, and for how long: src/worker/followers.mjs by itself, under a clock that the test moves.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Followers } from "../../src/worker/followers.mjs";

let head;
let told;
/** How the stub of a region answers news. */
let answers;
let followers;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  head = 1;
  told = [];
  answers = async (news) => news;
  const source = { position: () => Uint8Array.of(head), news: (after) => (after[0] < head ? Uint8Array.of(head) : undefined) };
  const stubOf = (region) => ({
    told(news) {
      told.push([region, ...news]);
      return answers(news);
    },
  });
  followers = new Followers(source, stubOf);
});

/** Lets milliseconds pass, and what is due happen. */
async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

function write() {
  head += 1;
  followers.changed();
}

test("a write goes out at once, and what is written soon after it together, to those that asked", async () => {
  write();
  await pass(1_000);
  assert.deepEqual(told, []);
  followers.subscribe("weur");
  followers.subscribe("oc");
  write();
  await pass(0);
  assert.deepEqual(told, [["weur", 3], ["oc", 3]]);
  write();
  await pass(30);
  write();
  assert.equal(told.length, 2);
  await pass(20);
  assert.deepEqual(told.slice(2), [["weur", 5], ["oc", 5]]);
});

test("one that does not ask for half a minute is told no more, and one that asks again is", async () => {
  followers.subscribe("weur");
  followers.subscribe("oc");
  await pass(29_000);
  followers.subscribe("oc");
  await pass(2_000);
  write();
  await pass(20);
  assert.deepEqual(told, [["oc", 2]]);
  await pass(60_000);
  write();
  await pass(60_000);
  assert.deepEqual(told, [["oc", 2]], "nobody is left");
  followers.subscribe("weur");
  write();
  await pass(20);
  assert.deepEqual(told.at(-1), ["weur", 4]);
});

test("a slow one has one message under way, and then gets what came meanwhile", async () => {
  const waiting = [];
  answers = (news) => new Promise((resolve) => waiting.push(() => resolve(news)));
  followers.subscribe("weur");
  for (let round = 0; round < 5; round++) {
    write();
    await pass(25);
  }
  assert.deepEqual(told, [["weur", 2]]);
  waiting.shift()();
  await pass(0);
  await pass(50);
  assert.deepEqual(told, [["weur", 2], ["weur", 6]]);
});

test("one that fails, or has to pull, is told no more before it asks again", async () => {
  for (const bad of [async () => undefined, async () => Promise.reject(new Error("gone"))]) {
    answers = bad;
    followers.subscribe("weur");
    told.length = 0;
    write();
    await pass(50);
    write();
    await pass(50);
    assert.equal(told.length, 1);
  }
  answers = async (news) => news;
  followers.subscribe("weur");
  told.length = 0;
  write();
  await pass(50);
  assert.equal(told.length, 1);
});

test("a database that is deleted forgets its followers", async () => {
  followers.subscribe("weur");
  followers.forget();
  write();
  await pass(25);
  assert.deepEqual(told, []);
});
