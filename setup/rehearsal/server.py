"""The emulated AWS: ministack with the rehearsal's services, over TLS on a loopback port.

Told by the environment: REHEARSAL_HOME, REHEARSAL_PYTHON, REHEARSAL_JAVA_HOME, GATEWAY_PORT, MINISTACK_ACCOUNT_ID,
MINISTACK_REGION, and the account's root, which the services act as where AWS's own would: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY. Every other caller is the launching user or a role, with what its policies allow.
"""

import asyncio
import datetime
import importlib
import importlib.util
import ipaddress
import os
import signal
from pathlib import Path

_SETTINGS = {
    "AUTH": "true",  # IAM is enforced
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "USE_SSL": "1",  # bucket policies refuse what comes without TLS
    "LOG_LEVEL": "WARNING",
}
_PARTS = (
    "codecommit",
    "codebuild",
    "codepipeline",
    "glue_jobs",
    "crawlers",
    "catalog_settings",
    "keys",
    "calls",
    "cloudformation",
    "athena",
    "buckets",
    "logs",
    "notebooks",
)


def main() -> None:
    """Serve until SIGTERM."""
    home = Path(os.environ["REHEARSAL_HOME"])
    certificate, key = _make_certificate(home / "tls")
    os.environ.update(
        _SETTINGS,
        MINISTACK_SSL_CERT=str(certificate),
        MINISTACK_SSL_KEY=str(key),
        AWS_CA_BUNDLE=str(certificate),
        REHEARSAL_SSL_CERT_FILE=os.environ.get("SSL_CERT_FILE", ""),  # the user's, for the builds
        SSL_CERT_FILE=str(certificate),
        TMPDIR=str(_folder(home / "tmp")),
    )
    # they read the environment when they are imported
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app

    from setup.rehearsal import extend, failures

    extend.install()
    for part in _PARTS:
        if importlib.util.find_spec(f"setup.rehearsal.{part}"):
            importlib.import_module(f"setup.rehearsal.{part}").install()
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['GATEWAY_PORT']}"]
    config.certfile, config.keyfile = str(certificate), str(key)
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"

    def end() -> None:
        extend.stop()
        os._exit(0)  # open connections, and the threads of builds and Lambdas, would be waited for

    async def serving() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end)
        await serve(failures.failing(app.app, home), config, shutdown_trigger=asyncio.Event().wait)

    asyncio.run(serving())


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AWS on this machine")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate, key = _folder(folder) / "certificate.pem", folder / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
