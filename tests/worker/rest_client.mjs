// A few lines around fetch for D1's REST API: what is asked is below `/client/v4/accounts/test/d1/database`.

import assert from "node:assert/strict";

/**
 * @param {string} base
 * @param {string} token
 */
export function d1Client(base, token) {
  /** The response. A body that is no text is sent as JSON. */
  const send = (method, path, body, headers = {}) =>
    fetch(`${base}/client/v4/accounts/test/d1/database${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });

  /** The envelope. */
  const answer = async (method, path, body) => (await send(method, path, body)).json();

  return {
    send,
    answer,
    /** The result of a call that is done. */
    result: async (method, path, body) => {
      const response = await send(method, path, body);
      const envelope = await response.json();
      assert.ok(response.status === 200 && envelope.success, `${method} ${path}: ${response.status} ${JSON.stringify(envelope)}`);
      assert.deepEqual([envelope.errors, envelope.messages], [[], []]);
      return envelope.result;
    },
    /** The message of a call that is refused with this status and code. */
    refused: async (status, code, method, path, body) => {
      const response = await send(method, path, body);
      const { result, success, errors } = await response.json();
      const label = `${method} ${path} ${JSON.stringify(body)?.slice(0, 100)}`;
      assert.deepEqual([response.status, errors[0]?.code, success, result], [status, code, false, null], `${label}: ${errors[0]?.message}`);
      return errors[0].message;
    },
  };
}
