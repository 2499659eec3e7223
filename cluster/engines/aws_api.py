"""The services of Amazon, as far as they are used here, by AWS's own client (`boto3`, the extra `ecs`).

Credentials are found as every program finds them that uses it. Every call blocks; several threads may call.
"""

from typing import Any

from cluster.domain.base.errors import InvalidInput

CONNECT, ANSWER = 10, 30  # seconds
TRIES = 4  # of one call, by the client itself; what makes something carries a token, so that it is made once
MOST_SAID = 400  # characters of what AWS says: what it encodes for its own tools is long

_NO_PERMISSION = ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation")
_NOT_KNOWN = (
    *("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "ExpiredTokenException", "ExpiredToken"),
    *("RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"),
)


class AwsRefused(Exception):
    """It answers with an error: `code` in AWS's own word, `said` as AWS says it, the text in one line, with the action.
    `is_certain`: nothing was done."""

    def __init__(self, code: str, said: str, text: str, is_certain: bool) -> None:
        super().__init__(text)
        self.code, self.said, self.is_certain = code, said, is_certain


class AwsSilent(Exception):
    """It cannot be reached, or does not answer: what was asked for may be done. The text says why, in one line."""


class AwsService:
    """`name`: as boto3 calls it. `region`, `endpoint`: empty as boto3 finds them. `resource`: what it is asked about,
    for people. `needed_by`: who needs it, for the message where the library is not there. InvalidInput."""

    def __init__(self, name: str, region: str, endpoint: str, resource: str, needed_by: str) -> None:
        boto = boto3(needed_by)
        self._name, self._resource = name, resource
        try:
            from botocore.config import Config

            tries = {"mode": "standard", "total_max_attempts": TRIES}
            config = Config(connect_timeout=CONNECT, read_timeout=ANSWER, retries=tries)
            session = boto.Session(region_name=region or None)
            self._client = session.client(name, endpoint_url=endpoint or None, config=config)
        except (boto.exceptions.Boto3Error, botocore_exceptions().BotoCoreError, ValueError) as error:
            raise InvalidInput(f"{self.title} cannot be reached: {line_of(error)}") from None

    @property
    def title(self) -> str:
        return self._name.upper()

    @property
    def region(self) -> str:
        return str(self._client.meta.region_name)

    def call(self, method: str, **arguments: object) -> Any:
        """The answer. Raises AwsRefused, AwsSilent."""
        errors = botocore_exceptions()
        try:
            return getattr(self._client, method)(**arguments)
        except errors.ClientError as error:
            certain = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)) < 500
            text = refusal(self._name, error, self._resource)
            raise AwsRefused(code_of(error), said_by(error), text, certain) from None
        except (errors.NoCredentialsError, errors.PartialCredentialsError, errors.ParamValidationError) as error:
            text = f"{self.title} was not asked: {line_of(error)}"
            raise AwsRefused(type(error).__name__, line_of(error), text, True) from None
        except errors.EndpointConnectionError as error:
            raise AwsSilent(f"{self.title} does not answer: {line_of(error)} (region {self.region!r})") from None
        except errors.BotoCoreError as error:
            raise AwsSilent(f"{self.title} does not answer: {line_of(error)}") from None

    def pages(self, method: str, key: str, **arguments: object) -> list[Any]:
        """What all pages of an answer have under that key. Raises AwsRefused, AwsSilent."""
        found: list[Any] = []
        token_in, token_out = ("NextToken", "NextToken") if self._name == "ec2" else ("nextToken", "nextToken")
        more: dict[str, object] = {}
        while True:
            answer = self.call(method, **arguments, **more)
            found += answer[key]
            if not answer.get(token_out):
                return found
            more = {token_in: answer[token_out]}


def refusal(service: str, error: Any, resource: str) -> str:
    """One line, which names the permission that is missing, if one is. `error`: botocore's ClientError."""
    said = said_by(error)[:MOST_SAID]
    if code_of(error) in _NO_PERMISSION:
        return f"no permission: {service}:{error.operation_name} on {resource}: {said}"
    if code_of(error) in _NOT_KNOWN:
        return f"{service.upper()} does not take the credentials ({error.operation_name}): {said}"
    return f"{service.upper()} refuses {error.operation_name}: {said}"


def code_of(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def said_by(error: Any) -> str:
    return " ".join(str(error.response.get("Error", {}).get("Message", "") or error).split())


def line_of(error: BaseException) -> str:
    return " ".join(str(error).split())


def boto3(needed_by: str) -> Any:
    """The library; InvalidInput where it is not there."""
    try:
        import boto3
    except ImportError:
        raise InvalidInput(f"{needed_by} needs the package boto3: install cluster with its extra `ecs`") from None
    return boto3


def botocore_exceptions() -> Any:
    from botocore import exceptions

    return exceptions
