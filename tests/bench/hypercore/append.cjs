// Appends what comes in on standard input to a hypercore, and says how long each batch took.
//
// usage: append.cjs <folder with node_modules> <folder of the core>
// in:  a batch is a count (uint32, big-endian), then for each entry its length (the same) and its octets
// out: a line with nanoseconds for each batch
'use strict'
const { createRequire } = require('module')
const path = require('path')

const [, , modules, folder] = process.argv
const Hypercore = createRequire(path.join(path.resolve(modules), 'here.cjs'))('hypercore')

let waiting = Buffer.alloc(0)

function taken () {
  if (waiting.length < 4) return null
  const batch = []
  let at = 4
  for (let left = waiting.readUInt32BE(0); left > 0; left--) {
    if (waiting.length < at + 4) return null
    const end = at + 4 + waiting.readUInt32BE(at)
    if (waiting.length < end) return null
    batch.push(Buffer.from(waiting.subarray(at + 4, end)))
    at = end
  }
  waiting = waiting.subarray(at)
  return batch
}

async function main () {
  const core = new Hypercore(folder)
  await core.ready()
  for await (const data of process.stdin) {
    waiting = Buffer.concat([waiting, data])
    for (let batch = taken(); batch !== null; batch = taken()) {
      const started = process.hrtime.bigint()
      await core.append(batch)
      process.stdout.write(`${process.hrtime.bigint() - started}\n`)
    }
  }
  await core.close()
}

main()
