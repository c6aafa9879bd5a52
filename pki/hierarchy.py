"""A root with all its issuing authorities: what a deployment holds, and how it is kept in a folder."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from pki import binding, blocklist, durable, keyplace, keys, names, path, pkcs11, plain_file, profiles
from pki.authority import Authority, Subscriber, WrongAuthority, create_issuing, create_root
from pki.blocklist import Blocklist
from pki.csr import OpenedCsr
from pki.errors import Broken
from pki.journal import Journal
from pki.lint.second_opinion import SecondOpinion
from pki.opened import reopened
from pki.roles import GROUP_OF_ROLE, Group, Purpose, Role
from pki.store.records import CertificateStore, Reason, Revocation
from pki.trust import TrustAnchors, encoded, is_marked


class BadHierarchy(Broken):
    """The files of a hierarchy are not as they were saved."""

    code = "pki/bad-hierarchy"
    title = "Hierarchy cannot be loaded"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A root and its seven issuing authorities, and beside them the generations before, which issue no more.

    `former` holds earlier roots, still trusted, and earlier issuing authorities, whose leaves are still valid.
    """

    root: Authority
    issuing: Mapping[Group, Authority]
    former: tuple[Authority, ...] = ()

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
        signers: Mapping[Group | None, keys.Signer] | None = None,
        root_lifetime_ms: int = profiles.ROOT_LIFETIME_MS,
        issuing_lifetime_ms: int = profiles.ISSUING_LIFETIME_MS,
    ) -> "Hierarchy":
        """A new root with all issuing authorities; `signers` are keys by group (None: the root's), the rest is made.

        Keys that are made are in memory until `save`.
        """
        given = signers or {}
        root = create_root(
            organisation=organisation,
            zone=zone,
            now_ms=now_ms,
            store=store,
            journal=journal,
            development=development,
            second_opinion=second_opinion,
            signer=given.get(None),
            lifetime_ms=root_lifetime_ms,
        )
        issuing = {
            group: create_issuing(
                root,
                group,
                organisation=organisation,
                now_ms=now_ms,
                signer=given.get(group),
                lifetime_ms=issuing_lifetime_ms,
            )
            for group in Group
        }
        return cls(root, issuing)

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

    def revoke(
        self, issuer_key_sha256: str, serial: int, reason: Reason, at_ms: int, *, invalid_from_ms: int | None = None
    ) -> Revocation:
        """Revoke a leaf, or an issuing authority; WrongAuthority if it was issued by nobody here."""
        return self.by_key(issuer_key_sha256).revoke(serial, reason, at_ms, invalid_from_ms=invalid_from_ms)

    def by_key(self, issuer_key_sha256: str) -> Authority:
        """The authority, of any generation, with this key; WrongAuthority if there is none."""
        for authority in self.authorities():
            if authority.key_sha256 == issuer_key_sha256:
                return authority
        raise WrongAuthority("none of these authorities has this key", found=issuer_key_sha256)

    def authorities(self) -> list[Authority]:
        """The root, then the issuing authorities, then the generations before."""
        return [self.root, *self.issuing.values(), *self.former]

    def roots(self) -> list[Authority]:
        """The root, then the roots before it."""
        return [authority for authority in self.authorities() if authority.group is None]

    def with_each(self, change: Callable[[Authority], Authority]) -> "Hierarchy":
        """The same authorities, each as `change` makes it, such as with another journal."""
        return Hierarchy(
            change(self.root),
            {group: change(one) for group, one in self.issuing.items()},
            tuple(map(change, self.former)),
        )

    def crl(self, now_ms: int) -> dict[str, bytes]:
        """The next CRL of every authority (DER), by its name in `tbs.crl_url`: "root", "fo", "fo-g2" and so on.

        A root whose key is offline is left out, for its list is signed in a ceremony (`Authority.crl`), and so is a
        former authority that has ended.
        """
        live = [one for one in self.authorities() if one.online and not (one.retired and _has_ended(one, now_ms))]
        return {authority.name: authority.crl(now_ms) for authority in live}

    def intermediates(self, role: Role) -> tuple[bytes, ...]:
        """What stands between a leaf of `role` that is issued now and the root (DER)."""
        return (encoded(self.authority_of(role).certificate),)

    def anchors(self) -> TrustAnchors:
        """Trust in these roots; development credentials count if and only if they are development roots."""
        roots = [encoded(root.certificate) for root in self.roots()]
        return TrustAnchors(roots, allow_development=self.root.development)

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
        for authority in self.authorities():
            save_authority(authority, folder, password, root_folder=root_folder, root_password=root_password)

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
        blocked: Blocklist = blocklist.NOTHING,
    ) -> "Hierarchy":
        """What `save` wrote. Roots are offline, even if their keys lie there, unless `root_folder` names the place.

        Raises what `keys.load_private` and `pkcs11.open_key` raise, BadHierarchy if a certificate is not as it was.
        """
        certificates = _certificates(folder)
        roots = [certificates[name] for name in _newest_first(certificates, "root")]
        development = is_marked(roots[0])
        TrustAnchors([encoded(root) for root in roots], allow_development=development)
        newest_fo = certificates[_newest_first(certificates, Group.FO.lower())[0]]

        def authority(name: str, group: Group | None, *, retired: bool) -> Authority:
            certificate = certificates[name]
            root = _root_of(certificate, roots, name)
            place, secret = (folder, password) if group is not None else (root_folder, root_password)
            return Authority(
                certificate=certificate,
                signer=_key(place, secret, name, certificate, optional=group is None and retired),
                root=root,
                group=group,
                zone=_zone(newest_fo),
                development=development,
                store=store,
                journal=journal,
                blocked=blocked,
                retired=retired,
            )

        generations = {
            group: [
                authority(name, group, retired=position > 0)
                for position, name in enumerate(_newest_first(certificates, _base(group)))
            ]
            for group in (None, *Group)
        }
        former = tuple(one for found in generations.values() for one in found[1:])
        return cls(generations[None][0], {group: generations[group][0] for group in Group}, former)


def save_authority(
    authority: Authority,
    folder: Path,
    password: bytes | None,
    *,
    root_folder: Path | None = None,
    root_password: bytes | None = None,
) -> None:
    """Write one authority as `Hierarchy.save` does; of a key in a token the place is written, in `<name>.key.uri`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place, secret = folder, password
    if authority.group is None and root_folder is not None:
        place, secret = root_folder, root_password
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if isinstance(authority.signer, keys.OutsideKey):
        if authority.signer.place is not None:
            durable.write(place / f"{authority.name}.key.uri", f"{authority.signer.place}\n".encode())
    else:
        keys.save_private(place / f"{authority.name}.key.pem", authority.signer, secret)
    save_certificate(authority, folder, place)


def save_certificate(authority: Authority, folder: Path, place: Path) -> None:
    """Write its certificate beside its key, which is in `place`, then into `folder`: there it is found from now on."""
    pem = authority.certificate.public_bytes(Encoding.PEM)
    for target in dict.fromkeys((place, folder)):
        durable.write(target / f"{authority.name}.crt.pem", pem)


_NAME = re.compile(rf"(root|{'|'.join(group.lower() for group in Group)})(?:-g[1-9][0-9]{{0,2}})?")
MAX_AUTHORITIES = 256


def _base(group: Group | None) -> str:
    return "root" if group is None else group.lower()


def _certificates(folder: Path) -> dict[str, x509.Certificate]:
    """Every authority's certificate in `folder`, by its name, which must be the one that the certificate says."""
    found: dict[str, x509.Certificate] = {}
    for file in sorted(folder.glob("*.crt.pem"))[:MAX_AUTHORITIES]:
        name = file.name.removesuffix(".crt.pem")
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        found[name] = _load_certificate(folder, name)
        if names.published(match.group(1), found[name].subject) != name:
            raise BadHierarchy("an authority's certificate has the file name of another generation", file=file.name)
    for base in map(_base, (None, *Group)):
        if not _newest_first(found, base):
            raise BadHierarchy("an authority's certificate cannot be read", file=f"{base}.crt.pem")
    return found


def _newest_first(certificates: Mapping[str, x509.Certificate], base: str) -> list[str]:
    of_base = [name for name in certificates if name == base or name.startswith(f"{base}-g")]
    return sorted(of_base, key=lambda name: names.generation(certificates[name].subject), reverse=True)


def _key(
    folder: Path | None, password: bytes | None, name: str, certificate: x509.Certificate, *, optional: bool
) -> keys.Signer:
    """The key of an authority, from a token if a place is written there, else from its file."""
    if folder is None:
        return keys.OfflineKey(keys.require_authority_key(certificate.public_key()))
    place, file = folder / f"{name}.key.uri", folder / f"{name}.key.pem"
    if place.is_file():
        written = plain_file.read(place).decode("utf-8", "replace")[: keyplace.MAX_URI_CHARS + 1]
        return pkcs11.open_key(keyplace.parse(written.strip()))
    if optional and not file.exists():
        return keys.OfflineKey(keys.require_authority_key(certificate.public_key()))
    return keys.load_private(file, password)


def _load_certificate(folder: Path, name: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(plain_file.read(folder / f"{name}.crt.pem"))
    except (OSError, ValueError) as error:
        raise BadHierarchy("an authority's certificate cannot be read", file=f"{name}.crt.pem") from error


def _root_of(certificate: x509.Certificate, roots: list[x509.Certificate], name: str) -> x509.Certificate:
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return root
    raise BadHierarchy("an authority is not under a root beside it", file=f"{name}.crt.pem")


def _has_ended(authority: Authority, now_ms: int) -> bool:
    return path.not_after_ms(authority.certificate) < now_ms


def _zone(certificate: x509.Certificate) -> str:
    """The zone that the FO authority may speak for, which is the zone of all."""
    prefix = f"{Group.FO.lower()}."
    zones = [zone for zone in binding.permitted_zones(reopened(certificate)) if zone.startswith(prefix)]
    if len(zones) != 1:
        raise BadHierarchy("the FO authority does not permit exactly one zone", found=len(zones))
    return zones[0].removeprefix(prefix)
