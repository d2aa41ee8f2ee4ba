// 10 MB to argv[2] with Node's http module (node-fetch, axios and pusher stand on it); prints status and text.
import http from 'node:http'

const request = http.request(process.argv[2], { method: 'POST', headers: { 'content-length': 10485760 } }, (answer) => {
  let text = ''
  answer.on('data', (piece) => (text += piece))
  answer.on('end', () => {
    process.stdout.write(`${answer.statusCode} ${text}`)
    process.exit(0)
  })
})
request.on('error', (error) => {
  if (!request.res) {
    process.stdout.write(`${error}`)
    process.exit(1)
  }
})
request.end(Buffer.alloc(10485760, ' '))
