"""Makes PostgreSQL's certificate and the authority that signs it, unless they are there: Secret postgres-tls.

The authority's key is thrown away, so nothing else is ever signed by it. To renew both: delete the Secret, run the Job
again, restart PostgreSQL and MLflow.
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kubernetes import client, config
from make_secrets import NAMESPACE, make

HOSTS = ("postgres", *(f"postgres.{NAMESPACE}{end}" for end in ("", ".svc", ".svc.cluster.local")))
YEARS = 10


def main() -> None:
    config.load_incluster_config()
    make(client.CoreV1Api(), "postgres-tls", certificate(), kind="kubernetes.io/tls")


def certificate() -> dict[str, str]:
    """ca.crt, and tls.crt and tls.key of PostgreSQL's host names, in PEM."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = signed("precisionflow database", authority, issuer="precisionflow database", by=authority)
    leaf = signed(HOSTS[0], key, issuer="precisionflow database", by=authority, hosts=HOSTS)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = {"ca.crt": root, "tls.crt": leaf}
    pem = {name: each.public_bytes(serialization.Encoding.PEM).decode() for name, each in public.items()}
    return pem | {"tls.key": secret.decode()}


def signed(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    hosts: tuple[str, ...] = (),
) -> x509.Certificate:
    """A certificate of a server with these names; of an authority where there are none."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None if hosts else 0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(usage(sign=not hosts), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(server, critical=False)
    return builder.sign(by, hashes.SHA256())


def usage(*, sign: bool) -> x509.KeyUsage:
    """What a key is for: signing certificates, or the handshake of a server."""
    return x509.KeyUsage(
        digital_signature=not sign,
        key_cert_sign=sign,
        crl_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


if __name__ == "__main__":
    main()
