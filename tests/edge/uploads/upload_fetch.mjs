// 10 MB to argv[2] with Node's fetch; prints status and text.
const answer = await fetch(process.argv[2], { method: 'POST', body: Buffer.alloc(10485760, ' ') })
process.stdout.write(`${answer.status} ${await answer.text()}`)
