// @sigstore/verify reads our log: a note and an inclusion proof on standard input, one line out for each question.
// Its public interface wants Rekor's own kinds of entry, so the two modules behind it that know nothing of them are asked.
const path = require("node:path");
const crypto = require("node:crypto");
const tlog = path.join(process.argv[2], "node_modules", "@sigstore", "verify", "dist", "tlog");
const { verifyCheckpoint } = require(path.join(tlog, "checkpoint.js"));
const { verifyMerkleInclusion } = require(path.join(tlog, "merkle.js"));

for (const asked of JSON.parse(require("node:fs").readFileSync(0, "utf-8"))) {
  const key = { key: Buffer.from(asked.spki, "base64"), format: "der", type: "spki" };
  const log = {
    logID: Buffer.from(asked.keyId, "hex"),
    baseURL: `https://${asked.origin}`,
    publicKey: crypto.createPublicKey(key),
  };
  const entry = {
    canonicalizedBody: Buffer.from(asked.entry, "base64"),
    inclusionProof: {
      logIndex: String(asked.index),
      treeSize: "0",
      rootHash: Buffer.alloc(0),
      hashes: asked.hashes.map((one) => Buffer.from(one, "base64")),
      checkpoint: { envelope: asked.checkpoint },
    },
  };
  try {
    const head = verifyCheckpoint(entry, [log]);
    verifyMerkleInclusion(entry, head);
    console.log(`accepted ${head.logSize}`);
  } catch (error) {
    if (error.code !== "TLOG_INCLUSION_PROOF_ERROR") throw error;
    console.log(`refused ${error.message}`);
  }
}
