"""V4 signatures as Google's own tests have them.

The numbers are those of https://github.com/googleapis/conformance-tests (storage/v1): the public
key of an account that signed there, and its signatures. RSA signatures of this kind are the same
each time, so what it verifies is what it would have signed.
"""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from jtc.storage.drivers.gcs_driver._transport.signing import unsigned_url

EMAIL = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com"
MODULUS = int(
    "ac3f3322ac8a2db5f436af28d098f5a871211e1a8edfed0e3fb4c4171e55c5ce8f77006814da"
    "df9c9448fd2f99683612d5abebe4faa9a7c83cf9434e32f23556c8c633cc634dac6456ff2698"
    "aa7aa52990b2d4eddb9a736357b1036c2fe313564b058d14dc76921df9fa4bd343f0c5dd803d"
    "3fba54535b0ababd4f3fc3a8b9b58b14ee7d8b2e54139757d0eff7a63bd9d87021497b31d955"
    "ad0799e5ac747c16b28934b24c10610348ccfdc917d0694798094f680d81ee8aa290deb0978b"
    "a0bcda5fb7149c39fe0809e72ee2c3c304ac2152b257184116c1573e9960a5a411c261b3c046"
    "dffd7a6df6aa36eb0d943209f7d23b0e68a9527805fc712e95885fad"
    "",
    16,
)
VECTORS = [
    pytest.param(
        "GET",
        1549011600,
        10,
        {},
        {},
        (
            "95e6a13d43a1d1962e667f17397f2b80ac9bdd1669210d5e08e0135df9dff4e56113485dbe42"
            "9ca2266487b9d1796ebdee2d7cf682a6ef3bb9fbb4c351686fba90d7b621cf1c4eb1fdf12646"
            "0dd25fa0837dfdde0a9fd98662ce60844c458448fb2b352c203d9969cb74efa4bdb742287744"
            "a4f2308afa4af0e0773f55e32e92973619249214b97283b2daa14195244444e33f938138d1e5"
            "f561088ce8011f4986dda33a556412594db7c12fc40e1ff3f1bedeb7a42f5bcda0b9567f17f6"
            "5855f65071fabb88ea12371877f3f77f10e1466fff6ff6973b74a933322ff0949ce357e20abe"
            "96c3dd5cfab42c9c83e740a4d32b9e11e146f0eb3404d2e975896f74"
        ),
        id="get",
    ),
    pytest.param(
        "PUT",
        1549011600,
        10,
        {},
        {},
        (
            "8adff1d4285739e31aa68e73767a46bc5511fde377497dbe08481bf5ceb34e29cc9a59921748"
            "d8ec3dd4085b7e9b7772a952afedfcdaecb3ae8352275b8b7c867f204e3db85076220a3127a8"
            "a9589302fc1181eae13b9b7fe41109ec8cdc93c1e8bac2d7a0cc32a109ca02d0695721132656"
            "3ab3d3e678a0ba296e298b5fc5e14593c99d444c94724cc4be97015dbff1dca377b508fa0cb7"
            "169195de98d0e4ac96c42b918d28c8d92d33e1bd125ce0fb3cd7ad2c45dae65c22628378f658"
            "4971b8bf3945b26f2611eb651e9b6a8648970c1ecf386bb71327b082e7296c4e1ee2fc0bdd89"
            "83da80af375c817fb1ad491d0bc22c0f51dba0d66e2cffbc90803e47"
        ),
        id="put",
    ),
    pytest.param(
        "GET",
        1551430800,
        20,
        {},
        {},
        (
            "9669ed5b10664dc594c758296580662912cf4bcc5a4ba0b6bf055bcbf6f34eed7bdad664f534"
            "962174a924741a0c273a4f67bc1847cef20192a6beab44223bd9d4fbbd749c407b79997598c3"
            "0f82ddc269ff47ec09fa3afe74e00616d438df0d96a7d8ad0adacfad1dc3286f864d924fe919"
            "fb0dce45d3d975c5afe8e13af2db9cc37ba77835f92f7669b61e94c6d562196c1274529e76cf"
            "ff1564cc2cad7d5387dc8e12f7a5dfd925685fe92c30b43709eee29fa2f66067472cee5423d1"
            "a3a4182fe8cea75c9329d181dc6acad7c393cd04f8bf5bc0515127d8ebd65d80c08e19ad0331"
            "6053ea60033fd1b1fd85a69c576415da3bf0a3718d9ea6d03e0d66f0"
        ),
        id="another time",
    ),
    pytest.param(
        "GET",
        1549011600,
        10,
        {},
        {
            "collapsed": "abc    def",
            "leading": "    xyz",
            "trailing": "abc    ",
            "tabs": "\tabc\t\t\t\tdef\t",
        },
        (
            "75d77a3ed2d9b74ff7e1e23b2fd7cc714ad4cc32518c65f3a8197827cd87d302623bab990cf2"
            "ff3a633bfaae69b6c2d897add78c105aa68411229610421c4239579add4aff6bdbd5067a0fd6"
            "1c3aa0029d7de0f8ae88fa3458fa70f875e841d6df9598597d9012b9f848c6857e08f2704ca2"
            "f332c71738490ffdda2ed928f9340549d7295745725062d28dc1696eab7cb3b88ac4fd445e95"
            "1423f645d680a60dd8033d65b65f4c10286f59f4258dbb2bcf36a76ffdd40574104cbbf0b769"
            "01c24df5854f24c42e9192fcedc386d85704fec6a6bad3a5201e1fb6c491a4c43371b0913420"
            "743580daf3504e99204c6ec894b4d70cd27bc60c3fe2850e8bf3ed22"
        ),
        id="spaces in headers",
    ),
    pytest.param(
        "GET",
        1549011600,
        10,
        {"soufflé": "=%-_.~"},
        {},
        (
            "38dd9ca622b80bca10f405e7d9ba0f0fbea719ca84d66078a484c5b54b1ce98e3fa8a0d20652"
            "16ed6ac03179be69312dabf428f8171b95994bdafe465a6f7893bacc7213a7bf4054ce2d78d4"
            "b60c34df24cc43e509ad7c81be47148d43a0e67d50d8fe38c85b0c63f9a51149b4f333531594"
            "6fef8ab34315ce3f6ce01f1831abb3eda5e7e211823855ed1767c65a8c7aeec357de096e3406"
            "897acfe092fead51bbea7df83e25a6180f80c8a0871e4901c370f77f5675f2405be7ccd55fd6"
            "dd22a87cf0adfafdb3f6fa99974fcf6c947b62294eebd7954e546c28f5490a6c50694c0e4882"
            "fcfe0d4a4ae8891a92579d6099a9b4c84d9f033a3b339163b6670b7e"
        ),
        id="letters in the query",
    ),
    pytest.param(
        "GET",
        1549011600,
        10,
        {"prefix": "/foo", "X-Goog-Meta-Foo": "bar"},
        {},
        (
            "a07745e1b3d59b85cbe11aa766df72c22468959e7217615dccb7f030234f66b60b37e480f307"
            "25ed51f29816362ca8286c619ebb66448ff1d370be2a4a48aacf20d3d2d6200ed17341a5791b"
            "af2ee5cd9c2823adacc6264f66c8a54fa887e1bce3c55cf78fb2f6a52618cf09d6f945f63d14"
            "8052a7b66a75e075ff5065828a806b84bdc49a42399be7483225c720d5e18a6160f79d815f43"
            "3e7921694fe1d041099851793c2581db0e5ca503cfb566e414f900ceede5f9b22030edd32ab2"
            "0b6f7f9fb2afba89098b9364e03397c03a94eac3a140c99979b8786844fb4f6c62c198537893"
            "9dd1bbaea8e41b9100dda85a27733171cc78d96ee362ea2c3432f4d8"
        ),
        id="order of the query",
    ),
]


@pytest.mark.parametrize(("method", "start", "seconds", "query", "headers", "signature"), VECTORS)
def test_unsigned_url_has_the_text_that_google_signs(
    method: str,
    start: int,
    seconds: int,
    query: dict[str, str],
    headers: dict[str, str],
    signature: str,
) -> None:
    unsigned = unsigned_url(
        method,
        "https://storage.googleapis.com",
        "/test-bucket/test-object",
        EMAIL,
        (start, seconds),
        query=query,
        headers=headers,
    )
    verify(unsigned.text, signature)
    with pytest.raises(InvalidSignature):
        verify(unsigned.text + " ", signature)
    assert unsigned.signed(bytes.fromhex(signature)).endswith(f"&X-Goog-Signature={signature}")


def verify(text: str, signature: str) -> None:
    key = rsa.RSAPublicNumbers(65537, MODULUS).public_key()
    key.verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
