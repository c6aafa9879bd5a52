"""A root with all its issuing authorities: what a deployment holds, and how it is kept in a folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from pki import binding, keys, profiles
from pki.authority import Authority, Subscriber, WrongAuthority, create_issuing, create_root
from pki.csr import OpenedCsr
from pki.errors import Broken
from pki.journal import Journal
from pki.lint.second_opinion import SecondOpinion
from pki.roles import GROUP_OF_ROLE, Group, Purpose, Role
from pki.store.records import CertificateStore, Reason, Revocation
from pki.trust import TrustAnchors, encoded, is_marked


class BadHierarchy(Broken):
    """The files of a hierarchy are not as they were saved."""

    code = "pki/bad-hierarchy"
    title = "Hierarchy cannot be loaded"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A root and its seven issuing authorities."""

    root: Authority
    issuing: Mapping[Group, Authority]

    @classmethod
    def create(
        cls,
        *,
        organisation: str,
        zone: str,
        now_ms: int,
        store: CertificateStore,
        journal: Journal,
        development: bool = False,
        second_opinion: SecondOpinion | None = None,
    ) -> "Hierarchy":
        """A new root with all issuing authorities, their keys in memory until `save`."""
        root = create_root(
            organisation=organisation,
            zone=zone,
            now_ms=now_ms,
            store=store,
            journal=journal,
            development=development,
            second_opinion=second_opinion,
        )
        return cls(
            root, {group: create_issuing(root, group, organisation=organisation, now_ms=now_ms) for group in Group}
        )

    def authority_of(self, role: Role) -> Authority:
        """The authority that issues for `role`."""
        return self.issuing[GROUP_OF_ROLE[role]]

    def issue(
        self,
        role: Role,
        purpose: Purpose,
        csr: OpenedCsr,
        *,
        subscriber: Subscriber,
        now_ms: int,
        not_after_ms: int | None = None,
        order_id: str | None = None,
    ) -> x509.Certificate:
        """A certificate from the authority of `role`; raises what `profiles.get` and `Authority.issue` raise."""
        return self.authority_of(role).issue(
            csr,
            profile=profiles.get(role, purpose),
            subscriber=subscriber,
            now_ms=now_ms,
            not_after_ms=not_after_ms,
            order_id=order_id,
        )

    def revoke(self, issuer_key_sha256: str, serial: int, reason: Reason, at_ms: int) -> Revocation:
        """Revoke a leaf, or an issuing authority; WrongAuthority if it was issued by nobody here."""
        for authority in self.authorities():
            if authority.key_sha256 == issuer_key_sha256:
                return authority.revoke(serial, reason, at_ms)
        raise WrongAuthority("none of these authorities has this key", found=issuer_key_sha256)

    def authorities(self) -> list[Authority]:
        """The root, then the issuing authorities."""
        return [self.root, *self.issuing.values()]

    def crl(self, now_ms: int) -> dict[str, bytes]:
        """The next CRL of every authority (DER), by its name in `tbs.crl_url`: "root", "fo", "cso" and so on.

        A root whose key is offline is left out: its list is signed in a ceremony (`Authority.crl`).
        """
        online = [authority for authority in self.authorities() if authority.online]
        return {_file_name(authority.group): authority.crl(now_ms) for authority in online}

    def intermediates(self, role: Role) -> tuple[bytes, ...]:
        """What stands between a leaf of `role` and the root (DER)."""
        return (encoded(self.authority_of(role).certificate),)

    def anchors(self) -> TrustAnchors:
        """Trust in this root; development credentials count if and only if it is a development root."""
        return TrustAnchors([encoded(self.root.certificate)], allow_development=self.root.development)

    def save(
        self,
        folder: Path,
        password: bytes | None,
        *,
        root_folder: Path | None = None,
        root_password: bytes | None = None,
    ) -> None:
        """Write certificates and keys into `folder` (made 0700); keys are never overwritten.

        With `root_folder` the root's key, with `root_password`, and its certificate are written there, and only the
        certificate stays in `folder`: a service that is given `folder` can then not touch the root.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for authority in self.authorities():
            name = _file_name(authority.group)
            pem = authority.certificate.public_bytes(Encoding.PEM)
            apart = root_folder if authority.group is None else None
            if authority.online and apart is None:
                keys.save_private(folder / f"{name}.key.pem", authority.signer, password)
            elif authority.online and apart is not None:
                apart.mkdir(mode=0o700, parents=True, exist_ok=True)
                keys.save_private(apart / f"{name}.key.pem", authority.signer, root_password)
                (apart / f"{name}.crt.pem").write_bytes(pem)
            (folder / f"{name}.crt.pem").write_bytes(pem)

    @classmethod
    def load(
        cls,
        folder: Path,
        password: bytes | None,
        *,
        store: CertificateStore,
        journal: Journal,
        root_folder: Path | None = None,
        root_password: bytes | None = None,
    ) -> "Hierarchy":
        """What `save` wrote. The root is offline, even if its key lies there, unless `root_folder` names its place.

        Raises what `keys.load_private` raises, BadHierarchy if a certificate is not as it was.
        """
        certificates = {name: _load_certificate(folder, name) for name in _NAMES}
        root = certificates[_file_name(None)]
        development = is_marked(root)
        TrustAnchors([encoded(root)], allow_development=development)
        for name, certificate in certificates.items():
            _require_issued_by(certificate, root, name)
        authorities: dict[Group | None, Authority] = {}
        for group in (None, *Group):
            name = _file_name(group)
            authorities[group] = Authority(
                certificate=certificates[name],
                signer=(
                    keys.load_private(folder / f"{name}.key.pem", password)
                    if group is not None
                    else _root_key(root, root_folder, root_password)
                ),
                root=root,
                group=group,
                zone=_zone(certificates[_file_name(Group.FO)]),
                development=development,
                store=store,
                journal=journal,
            )
        return cls(authorities[None], {group: authorities[group] for group in Group})


_NAMES = ("root", *(group.lower() for group in Group))


def _file_name(group: Group | None) -> str:
    return "root" if group is None else group.lower()


def _root_key(root: x509.Certificate, folder: Path | None, password: bytes | None) -> keys.Signer:
    if folder is None:
        return keys.OfflineKey(keys.require_authority_key(root.public_key()))
    return keys.load_private(folder / f"{_file_name(None)}.key.pem", password)


def _load_certificate(folder: Path, name: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate((folder / f"{name}.crt.pem").read_bytes())
    except (OSError, ValueError) as error:
        raise BadHierarchy("an authority's certificate cannot be read", file=f"{name}.crt.pem") from error


def _require_issued_by(certificate: x509.Certificate, root: x509.Certificate, name: str) -> None:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadHierarchy("an authority is not under the root beside it", file=f"{name}.crt.pem") from error


def _zone(certificate: x509.Certificate) -> str:
    """The zone that the FO authority may speak for, which is the zone of all."""
    prefix = f"{Group.FO.lower()}."
    zones = [zone for zone in binding.permitted_zones(certificate) if zone.startswith(prefix)]
    if len(zones) != 1:
        raise BadHierarchy("the FO authority does not permit exactly one zone", found=len(zones))
    return zones[0].removeprefix(prefix)
