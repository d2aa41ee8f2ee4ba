// What an error of a connection means, whatever is at its other end.

'use strict';

const CAUSES = [
  ['refused', /^ECONNREFUSED$/],
  ['name', /ENOTFOUND|EAI_AGAIN/],
  ['certificate', /CERT|SELF_SIGNED|LEAF_SIGNATURE|ISSUER/],
  ['plain', /SSL|EPROTO|TLS/],
  ['silent', /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/],
  ['cut', /ECONNRESET|HPE_|socket hang up/],
];

/** refused, name (unknown), certificate, plain (for TLS), silent, cut; or other. */
function causeOf(code) {
  const known = CAUSES.find(([, pattern]) => pattern.test(String(code)));
  return known ? known[0] : 'other';
}

/** One hint for a certificate of `whose`. */
const certificateHint = (whose, code) => `The certificate of ${whose} is not accepted (${code}): has it expired, is it for this host name? If an authority of your own has signed it (mkcert, Herd, Valet): NODE_EXTRA_CA_CERTS=/path/to/its/certificate.pem`;

module.exports = { causeOf, certificateHint };
