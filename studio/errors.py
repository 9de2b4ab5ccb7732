"""The one registry of errors that people see: symbol, number, HTTP status, retryable or not, words, next step.

Code raises `StudioError("SYMBOL", **params)`. Jobs store symbol and parameters, and are translated when they are read,
so a wording mended today also mends yesterday's failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.language import Language, Text


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the registry. `number` is 4xx for the caller's mistakes, 5xx for ours, 9xx for business outcomes."""

    status: int
    number: int
    retryable: bool
    message: Text
    next_step: Text
    terms: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    """What the values of a parameter are called, where they are symbols: a job stores it in nobody's language."""


class StudioError(Exception):
    """A situation of the registry, with the parameters that its words name."""

    micros: int | None = None
    """What a service says that it charges for what has failed, in millionths of its card's currency; None where it says
    nothing."""

    def __init__(self, symbol: str, **params: str | float) -> None:
        super().__init__(symbol)
        self.symbol = symbol
        self.params = params

    @property
    def kind(self) -> ErrorKind:
        return REGISTRY[self.symbol]


class NotNow(Exception):
    """Something outside is busy or away. The same call may well succeed after `retry_after_s` seconds."""

    def __init__(self, what: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class Away(NotNow):
    """It does not answer, or only with faults of its own. What was sent surely was not accepted."""


class OutcomeUnknown(Exception):
    """A call went out and its answer was lost: it may have been accepted. It must never be sent blindly again."""


def describe(symbol: str, params: dict[str, str | float], language: Language) -> dict[str, str | bool | int]:
    """The public words of an error: `code`, `message`, `nextStep`, `retryable`, `number`."""
    kind = REGISTRY[symbol]
    named = {
        name: terms[str(params[name])].in_(language) for name, terms in kind.terms.items() if str(params[name]) in terms
    }
    values = {**params, **named}
    return {
        "code": symbol,
        "number": kind.number,
        "message": kind.message.in_(language).format(**values),
        "nextStep": kind.next_step.in_(language).format(**values),
        "retryable": kind.retryable,
    }


def _row(
    status: int,
    number: int,
    *,
    retryable: bool = False,
    zh: tuple[str, str],
    en: tuple[str, str],
    terms: Mapping[str, Mapping[str, Text]] | None = None,
) -> ErrorKind:
    return ErrorKind(status, number, retryable, Text(zh[0], en[0]), Text(zh[1], en[1]), terms or {})


REGISTRY: dict[str, ErrorKind] = {
    "CLIENT_ID_REQUIRED": _row(
        400,
        400,
        zh=("缺少 X-Client-Id 请求头。", "请在每个请求中带上客户端标识 X-Client-Id。"),
        en=("The X-Client-Id header is missing.", "Send the client's id in X-Client-Id with every request."),
    ),
    "CLIENT_ID_INVALID": _row(
        400,
        400,
        zh=("X-Client-Id 的格式不正确。", "请使用 10 至 64 个字符，仅限字母、数字、“_”和“-”。"),
        en=("The X-Client-Id header is malformed.", "Use 10 to 64 characters: letters, digits, '_' and '-'."),
    ),
    "TOKEN_REQUIRED": _row(
        401,
        401,
        zh=("这个请求没有带令牌。", "请先调用 POST /init 取得令牌，并放在 Authorization: Bearer 请求头中。"),
        en=("This call carries no token.", "Get one from POST /init and send it as Authorization: Bearer."),
    ),
    "TOKEN_INVALID": _row(
        401,
        401,
        zh=("令牌无效。", "请不带令牌调用 POST /init，重新取得令牌。"),
        en=("The token is not valid.", "Get a new one from POST /init, sent without this one."),
    ),
    "TOKEN_EXPIRED": _row(
        401,
        401,
        zh=("令牌已过期。", "请不带旧令牌调用 POST /init，重新取得令牌。"),
        en=("The token has expired.", "Get a new one from POST /init, sent without the old one."),
    ),
    "TICKET_INVALID": _row(
        401,
        401,
        zh=("实时连接的凭证无效或已过期。", "请用 POST /api/v1/tickets 取得新的凭证，再重新连接。"),
        en=("The ticket is not valid or too old.", "Get a new one from POST /api/v1/tickets and connect again."),
    ),
    "ORIGIN_REFUSED": _row(
        403,
        403,
        zh=("这个网页不能调用此服务。", "请从本服务的网页操作，或让管理员把该网页的来源加入 ALLOWED_ORIGINS。"),
        en=(
            "This page may not call this service.",
            "Use the service's own page, or let the operator add the page's origin to ALLOWED_ORIGINS.",
        ),
    ),
    "RATE_LIMITED": _row(
        429,
        429,
        retryable=True,
        zh=("操作太频繁了。", "请在 {retry_after_s} 秒后再试。"),
        en=("There were too many calls in a short time.", "Try again in {retry_after_s} seconds."),
    ),
    "INVALID_INPUT": _row(
        400,
        400,
        zh=("请求内容有误。", "请根据 errors 中列出的字段修改后重试。"),
        en=("The request is not valid.", "Correct the fields listed in errors and try again."),
    ),
    "INVALID_JSON": _row(
        400,
        400,
        zh=("请求内容不是有效的 JSON。", "请以 UTF-8 编码的 JSON 发送请求内容。"),
        en=("The body of the request is not valid JSON.", "Send the body as JSON in UTF-8."),
    ),
    "CURSOR_INVALID": _row(
        400,
        400,
        zh=("这个翻页位置无效。", "请使用上一页返回的 nextCursor，或从第一页开始。"),
        en=(
            "This place in the list is not valid.",
            "Use the nextCursor of the page before, or begin at the first page.",
        ),
    ),
    "TIME_ZONE_UNKNOWN": _row(
        400,
        400,
        zh=("不认识这个时区。", "请使用 IANA 时区名称，例如 Asia/Shanghai。"),
        en=("There is no such time zone.", "Use an IANA name such as Europe/Berlin."),
    ),
    "NOT_FOUND": _row(
        404,
        404,
        zh=("没有找到这项内容。", "请检查编号是否正确，或返回画廊重新选择。"),
        en=("There is no such thing here.", "Check the id, or go back to the gallery and choose again."),
    ),
    "MEDIA_LINK_EXPIRED": _row(
        403,
        403,
        zh=("这个媒体地址无效或已过期。", "请重新打开作品，使用新的地址。"),
        en=("This media address is not valid any more.", "Open the artwork again, and use the address given there."),
    ),
    "METHOD_NOT_ALLOWED": _row(
        405,
        405,
        zh=("这个地址不支持该请求方法。", "请查看接口文档中的方法。"),
        en=("This address does not take that method.", "See the API's description for the methods it takes."),
    ),
    "RANGE_NOT_SATISFIABLE": _row(
        416,
        416,
        zh=("请求的范围超出了文件的长度。", "请去掉 Range 请求头，或请求文件之内的范围。"),
        en=("The range lies beyond the end of the file.", "Leave the Range header out, or ask for a part of the file."),
    ),
    "BODY_TOO_LARGE": _row(
        413,
        413,
        zh=("请求内容太大。", "请把媒体文件上传到预签名地址，不要放在请求里。"),
        en=("The request is too large.", "Upload media to their presigned address instead of sending them here."),
    ),
    "UPLOAD_NOT_FOUND": _row(
        404,
        404,
        retryable=True,
        zh=("没有找到已上传的文件。", "请先把文件上传到预签名地址，再提交。"),
        en=("The uploaded file is not there.", "Upload the file to its presigned address first, then commit it."),
    ),
    "UPLOAD_CHANGED": _row(
        409,
        409,
        zh=("上传的文件与声明的不一致。", "请重新申请上传地址并再次上传。"),
        en=("The uploaded file is not the one announced.", "Ask for a new upload address and upload again."),
    ),
    "FILE_TOO_LARGE": _row(
        413,
        413,
        zh=("文件太大，最多 {max_bytes} 字节。", "请压缩或裁剪后再上传。"),
        en=("The file is too large; at most {max_bytes} bytes are allowed.", "Make it smaller and upload it again."),
    ),
    "IMAGE_TOO_LARGE": _row(
        422,
        422,
        zh=("图片有 {pixels} 像素，最多 {max_pixels} 像素。", "请用较低的分辨率重新拍摄。"),
        en=("The picture has {pixels} pixels; at most {max_pixels} are allowed.", "Take it at a lower resolution."),
    ),
    "IMAGE_TOO_LONG": _row(
        422,
        422,
        zh=("图片的一边有 {pixels} 像素，最多 {max_pixels} 像素。", "请裁剪后再上传。"),
        en=("One side of the picture has {pixels} pixels; at most {max_pixels} are allowed.", "Crop it and try again."),
    ),
    "IMAGE_UNREADABLE": _row(
        422,
        422,
        zh=("这张图片打不开。", "请重新拍摄或导出为 JPEG、PNG、WebP 或 HEIC。"),
        en=("This picture cannot be opened.", "Take it again, or save it as JPEG, PNG, WebP or HEIC."),
    ),
    "AUDIO_UNREADABLE": _row(
        422,
        422,
        zh=("这段录音打不开。", "请重新录制，或改用 MP3、M4A、WebM、WAV、OGG 或 FLAC。"),
        en=("This recording cannot be opened.", "Record it again, or use MP3, M4A, WebM, WAV, OGG or FLAC."),
    ),
    "AUDIO_TOO_LONG": _row(
        422,
        422,
        zh=("录音有 {seconds} 秒，最多 {max_seconds} 秒。", "请录一段短一些的故事。"),
        en=("The recording lasts {seconds} s; at most {max_seconds} s are allowed.", "Record a shorter story."),
    ),
    "VIDEO_TOO_LARGE": _row(
        422,
        422,
        zh=("视频的每帧有 {pixels} 像素，最多 {max_pixels} 像素。", "请用较低的分辨率重新录制。"),
        en=(
            "Each frame of the video has {pixels} pixels; at most {max_pixels} are allowed.",
            "Record it at a lower resolution.",
        ),
    ),
    "VIDEO_UNREADABLE": _row(
        422,
        422,
        zh=("这段视频打不开。", "请改用 MP4、WebM 或 MOV 格式。"),
        en=("This video cannot be opened.", "Use MP4, WebM or MOV."),
    ),
    "KIND_MISMATCH": _row(
        415,
        415,
        zh=("这个文件不是{kind}类型。", "请检查选择的文件。"),
        en=("This file is not of the kind {kind}.", "Check which file was chosen."),
    ),
    "MIME_NOT_SUPPORTED": _row(
        415,
        415,
        zh=(
            "不支持 {mime} 格式。",
            "图片请用 JPEG、PNG、WebP 或 HEIC，录音请用 MP3、M4A、WebM、WAV、OGG 或 FLAC，视频请用 MP4、WebM 或 MOV。",
        ),
        en=(
            "The format {mime} is not supported.",
            "Pictures: JPEG, PNG, WebP, HEIC. Recordings: MP3, M4A, WebM, WAV, OGG, FLAC. Films: MP4, WebM, MOV.",
        ),
    ),
    "NO_STORY": _row(
        422,
        900,
        zh=("还没有听到故事。", "请录下故事，或者写下几句话。"),
        en=("There is no story yet.", "Record the story, or write a few words."),
    ),
    "NO_DRAWING": _row(
        422,
        901,
        zh=("这个作品还没有画。", "请先上传一张画。"),
        en=("This artwork has no drawing yet.", "Upload a drawing first."),
    ),
    "ANALYSIS_NOT_READY": _row(
        404,
        902,
        retryable=True,
        zh=("这幅画的解读还没有准备好。", "请稍后再来看看。"),
        en=("The reading of this drawing is not ready.", "Look again a little later."),
    ),
    "JOB_NOT_RETRYABLE": _row(
        409,
        903,
        zh=("这个任务现在不能重试。", "只有失败的任务才能重试。"),
        en=("This job cannot be retried now.", "Only a job that failed can be retried."),
    ),
    "JOB_NOT_CANCELABLE": _row(
        409,
        906,
        zh=("这个任务已经结束，不能取消。", "可以查看它的结果，或重新制作。"),
        en=("This job has ended and cannot be canceled.", "Look at what came of it, or ask for a new one."),
    ),
    "CANCELED": _row(
        409,
        907,
        zh=("这个任务已被取消。", "想看动画时，请再做一次。"),
        en=("This job was canceled.", "Ask for a new one whenever you like."),
    ),
    "STORY_IN_USE": _row(
        409,
        904,
        retryable=True,
        zh=("正在用之前的故事制作动画。", "请等这部动画完成后，再用新的故事制作。"),
        en=(
            "A film of the older story is being made.",
            "Wait until it is finished, then ask for one of the new story.",
        ),
    ),
    "DRAWING_IN_USE": _row(
        409,
        908,
        retryable=True,
        zh=("正在用这张画制作动画。", "请等这部动画完成后再换画。"),
        en=("A film of this drawing is being made.", "Wait until it is finished, then exchange the drawing."),
    ),
    "ARTWORK_EXISTS": _row(
        409,
        905,
        zh=("这个作品编号已经用于另一幅画或另一段录音。", "请去掉 artworkId，或使用申请上传时得到的新编号。"),
        en=(
            "An artwork with this id exists, of another drawing or recording.",
            "Leave artworkId out, or use a new one from /upload/presign.",
        ),
    ),
    "NOTICE_CHANGED": _row(
        409,
        930,
        zh=("隐私说明已经更新。", "请重新阅读隐私说明，再记录同意或撤回。"),
        en=("The privacy notice has changed.", "Read it again, and then say what you agree to."),
    ),
    "RENDER_FAILED": _row(
        500,
        910,
        retryable=True,
        zh=("动画没有做成。", "请重试；如果仍然失败，请换一张画或一段录音。"),
        en=("The film could not be made.", "Try again; if it fails once more, use another drawing or recording."),
    ),
    "CLIP_UNREADABLE": _row(
        500,
        911,
        retryable=True,
        zh=("得到的影片无法播放。", "请重试。"),
        en=("The clip that came back cannot be played.", "Try again."),
    ),
    "PROVIDER_REFUSED": _row(
        422,
        912,
        zh=("动画服务没有接受这次请求。", "请换一种说法或换一张画再试。"),
        en=("The animation service did not accept this request.", "Try other words or another drawing."),
    ),
    "PROVIDER_TIMEOUT": _row(
        504,
        913,
        retryable=True,
        zh=("影片在时限内没有完成。", "请重试。"),
        en=("The film was not finished in time.", "Try again."),
    ),
    "OUTCOME_UNKNOWN": _row(
        502,
        914,
        zh=("不能确定 AI 服务是否已经接受这次请求。", "为避免重复付费，需要有人确认后再继续。"),
        en=(
            "It is not known whether the AI service took this request.",
            "A person has to decide, so that nothing is paid for twice.",
        ),
    ),
    "STEP_CRASHED": _row(
        500,
        915,
        retryable=True,
        zh=("处理这一步时程序多次中断。", "请重试；如果仍然失败，请联系管理员。"),
        en=(
            "The program broke off several times at this step.",
            "Try again; if it fails once more, tell the operator.",
        ),
    ),
    "CONTENT_REJECTED": _row(
        422,
        916,
        zh=("这次的画或故事没有通过安全检查，这不代表画得不好。", "请换一种说法，或换一张画，再试一次。"),
        en=(
            "The service's safety check stopped at this drawing or story. That says nothing about how good it is.",
            "Tell it in other words, or take another drawing, and try once more.",
        ),
    ),
    "PROVIDER_ACCOUNT": _row(
        503,
        917,
        retryable=True,
        zh=("{provider} 不接受本服务的账号。", "请管理员检查 {setting} 和该账号的状态，然后重试。"),
        en=(
            "{provider} does not accept this service's account.",
            "The operator should check {setting}; then try again.",
        ),
    ),
    "PROVIDER_QUOTA": _row(
        503,
        918,
        retryable=True,
        zh=("{provider} 的额度已用完。", "请管理员为该账号充值或提高额度，然后重试。"),
        en=("The account at {provider} is used up.", "The operator should top it up; then try again."),
    ),
    "PROVIDER_UNAVAILABLE": _row(
        503,
        919,
        retryable=True,
        zh=("{provider} 长时间没有响应。", "没有产生费用，请稍后重试。"),
        en=("{provider} has not answered for a long time.", "Nothing was charged; try again later."),
    ),
    "MODEL_UNKNOWN": _row(
        422,
        920,
        zh=("{provider} 没有名为 {model} 的模型，或该模型已停用。", "请改用：{offered}；或请管理员修改 {setting}。"),
        en=(
            "{provider} has no model called {model}, or not any more.",
            "Use one of: {offered}. The operator chooses it by {setting}.",
        ),
    ),
    "CLIP_NOT_OFFERED": _row(
        422,
        921,
        zh=("{provider} 的 {model} 不支持 {field} = {value}。", "最接近的可选值：{nearest}。"),
        en=("{model} of {provider} does not offer {field} = {value}.", "The nearest that it offers: {nearest}."),
    ),
    "PROVIDER_NOT_OFFERED": _row(
        422,
        922,
        zh=("这里不提供名为 {value} 的服务。", "可选的有：{offered}。"),
        en=("There is no service called {value} here.", "Choose one of: {offered}."),
    ),
    "ANSWER_UNREADABLE": _row(
        502,
        923,
        retryable=True,
        zh=("{provider} 的回答无法使用。", "请重试。"),
        en=("The answer of {provider} is of no use.", "Try again."),
    ),
    "SPEND_CAP_REACHED": _row(
        429,
        924,
        retryable=True,
        zh=(
            "{scope}已用完。",
            "这一步没有收费，画和故事都留着。每日上限在 UTC 零点重新计算，之后再试一次就好；管理员也可以提高上限。",
        ),
        en=(
            "{scope} is used up.",
            "Nothing was charged. Limits of a day begin anew at midnight UTC: try again then, or ask the operator.",
        ),
        terms={
            "scope": {
                "day": Text("本服务当天的费用上限", "What this service may spend in a day"),
                "client": Text("这台设备当天的费用上限", "What may be spent in a day for this device"),
                "total": Text("本服务的总费用上限", "What this service may ever spend"),
            }
        },
    ),
    "PRICE_UNKNOWN": _row(
        422,
        931,
        zh=(
            "{provider} 的 {model} 没有已知的价格，设有费用上限时不能使用。",
            "请改用其他模型；或请管理员填写它的价格。",
        ),
        en=(
            "No price is known of {model} of {provider}, so it cannot be used where spending is limited.",
            "Choose another model, or let the operator tell its price.",
        ),
    ),
    "CLIP_GONE": _row(
        410,
        925,
        retryable=True,
        zh=("影片在服务方的保存时间已过。", "请重新制作。"),
        en=("The clip is no longer kept where it was made.", "Ask for a new one."),
    ),
    "JOB_NOT_IN_DOUBT": _row(
        409,
        926,
        zh=("这个任务不需要决定。", "可以查看它现在的状态。"),
        en=("There is nothing to decide about this job.", "Look at how it stands now."),
    ),
    "WEBHOOK_NOT_CONFIGURED": _row(
        503,
        927,
        zh=("这个回调还没有配置密钥。", "请管理员设置 {setting}。"),
        en=("No secret is set for this callback.", "The operator should set {setting}."),
    ),
    "WEBHOOK_REFUSED": _row(
        401,
        928,
        zh=("回调的签名无效。", "请用正确的密钥和当前时间重新签名。"),
        en=("The signature of this callback is not valid.", "Sign it with the right secret and the current time."),
    ),
    "WEBHOOK_MALFORMED": _row(
        400,
        929,
        zh=("回调的格式不正确。", "请按照文档中的请求头和内容发送。"),
        en=("This callback is malformed.", "Send the headers and the body that the documents describe."),
    ),
    "INTERNAL": _row(
        500,
        500,
        retryable=True,
        zh=("出了点问题。", "请稍后重试，并向管理员提供 requestId。"),
        en=("Something went wrong.", "Try again later, and give the operator the requestId."),
    ),
    "DATABASE_UNAVAILABLE": _row(
        503,
        503,
        retryable=True,
        zh=("数据库暂时无法访问。", "请稍后重试，已提交的内容不会丢失。"),
        en=("The database cannot be reached right now.", "Try again shortly; nothing that was accepted is lost."),
    ),
    "STORE_UNAVAILABLE": _row(
        503,
        503,
        retryable=True,
        zh=("文件存储暂时无法访问。", "请稍后重试，已提交的内容不会丢失。"),
        en=("The file store cannot be reached right now.", "Try again shortly; nothing that was accepted is lost."),
    ),
}
