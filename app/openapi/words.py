"""The Chinese half of the description, and the words that no handler has. The English half is in the handlers."""

from __future__ import annotations

from studio.language import Text

TITLE = "HuaBan 画伴"
ABOUT = Text(
    zh=(
        "孩子画画、讲故事，得到一部会动的影片。每个请求都在 X-Client-Id 里"
        "说明自己是谁（自己生成并保存的 10 至 64 个字符）。"
        "时间为 UTC，大小以字节计。错误统一为 application/problem+json：程序看 code，人看 message 和 nextStep，"
        "语言由 Accept-Language 决定。"
    ),
    en=(
        "A child draws, tells the story aloud, and gets a moving picture back. Every call names its client in "
        "X-Client-Id, 10 to 64 characters that the client made up and keeps. Times are UTC, sizes are bytes. Every "
        "refusal is application/problem+json: programs read its code, people its message and nextStep, in the language "
        "of Accept-Language."
    ),
)

CLIENT_ID = Text(
    zh="客户端自己生成的标识，请像密码一样保管。AUTH_MODE=single 时可以省略。",
    en="What the client calls itself. It opens all its works: keep it like a password. AUTH_MODE=single needs none.",
)

TOKEN = Text(
    zh="AUTH_MODE=token 时由 POST /init 返回，之后每个请求都要带上。",
    en="Of POST /init where AUTH_MODE=token; every other call then carries it.",
)
TICKET = Text(
    zh="由 POST /api/v1/tickets 返回，一分钟内有效，只用于打开事件流。",
    en="Of POST /api/v1/tickets. It opens a stream of events, within a minute.",
)

HEADERS: dict[str, Text] = {
    "Location": Text("新任务的地址。", "Where the new job is."),
    "Retry-After": Text("几秒之后可以重试。", "How many seconds to wait before the next try."),
    "X-Request-Id": Text(
        "这次请求的编号，联系管理员时请提供；可以用同名请求头自己指定。",
        "The id of this call, for questions to the operator; a caller's own is taken over.",
    ),
}
HEADERS_OF_STATUS: dict[int, tuple[str, ...]] = {202: ("Location",)}

STATUSES: dict[int, Text] = {
    200: Text("成功。", "Done."),
    201: Text("已创建。", "It is made."),
    202: Text("已接受，正在进行。", "It is accepted, and under way."),
    204: Text("成功，没有内容。", "Done, and there is nothing to tell."),
}

_HELLO = Text("开始", "Hello")
_ARTWORKS = Text("作品与画廊", "Artworks and the gallery")
TAGS: dict[str, Text] = {
    "init": _HELLO,
    "tickets": _HELLO,
    "media": Text("上传与媒体", "Uploads and media"),
    "images": Text("图片", "Pictures"),
    "artworks": _ARTWORKS,
    "gallery": _ARTWORKS,
    "generation": Text("制作任务", "Jobs"),
    "events": Text("事件", "Events"),
    "analyses": Text("画面解读", "Readings of drawings"),
    "grow": Text("成长", "Growth"),
    "privacy": Text("隐私", "Privacy"),
    "spend": Text("费用", "Spending"),
    "lineage": Text("早期前端的接口", "For older front ends"),
    "webhooks": Text("回调", "Callbacks"),
    "health": Text("运行状况", "Health"),
    "metrics": Text("指标", "Figures"),
}
"""By the module of the routes, in the order of the page."""

PARAMETERS: dict[str, Text] = {
    "artworkId": Text("作品编号。", "The id of an artwork."),
    "jobId": Text("任务编号。", "The id of a job."),
    "provider": Text("服务商在设置里的名字。", "A provider, by its name in the settings."),
    "token": Text("地址中属于这次调用的部分。", "The part of the address that belongs to the call."),
    "receiptId": Text("回执编号。", "The id of a receipt."),
    "cursor": Text(
        "上一页返回的 nextCursor；不填则从最新的开始。",
        "The nextCursor of the page before; the newest come first without.",
    ),
    "status": Text("只列出这种状态的。", "Only those with this status."),
    "kind": Text("只列出这一类的。", "Only those of this kind."),
    "q": Text("标题、故事或录音文字中的词。", "Words in the title, the story or the transcript."),
    "from": Text("不早于这一天或这一刻。", "From this day or instant on."),
    "to": Text("不晚于这一天或这一刻。", "Up to this day or instant."),
    "favourite": Text("只列出收藏的，或未收藏的。", "Only the favourites, or only the others."),
    "deleted": Text("列出回收站中的作品。", "Those in the bin instead."),
    "since": Text(
        "只要这个编号之后的事件；不填则从现在开始。", "The events after this number; those from now on without."
    ),
    "period": Text("按周或按月；一周从星期一开始。", "Weeks or months. Weeks begin on Monday."),
    "range": Text("多少个周期，最近的在前。", "How many periods, the current one first."),
    "days": Text("最近多少天，今天在内。", "How many days, today being one of them."),
    "tz": Text("IANA 时区，例如 Asia/Shanghai。", "An IANA time zone, as in Asia/Shanghai."),
    "lang": Text("代替 Accept-Language 的语言。", "A language in place of that of Accept-Language."),
    "limit": Text("一页最多几条。", "How many there are on a page at most."),
    "key": Text("媒体地址中的路径。", "The path in a media address."),
    "e": Text("地址的有效期（Unix 秒），原样发送。", "When the address ends, in Unix seconds. Sent as it was given."),
    "t": Text("文件类型，原样发送。", "The type of the file. Sent as it was given."),
    "s": Text("地址的签名，原样发送。", "The signature of the address. Sent as it was given."),
    "download": Text("让浏览器保存文件，而不是显示。", "Lets a browser save the file instead of showing it."),
    "Last-Event-ID": Text(
        "已经收到的最后一个事件的编号，只发送之后的事件。",
        "The number of the last event that was received; those after it are sent.",
    ),
}

OPERATIONS: dict[str, str] = {
    "init": "登记客户端，并告诉它上传的限制。",
    "get_privacy_notice": "这个部署保存什么、为什么、保存多久、还有谁会看到。任何人都可以查看，不需要客户端标识。",
    "get_consents": "客户端同意了什么，以及每一次决定。",
    "update_consents": "记录客户端的同意或撤回。这只是记录，不会因此关闭任何功能。",
    "get_export": "最新一次导出的全部内容；没有时开始导出。",
    "start_export": "重新导出全部内容。正在准备的不会重复开始；新的完成后，旧的会删除。",
    "erase_data": "永久删除这个客户端的一切。回执说明进度，不含任何人的名字。",
    "get_receipt": "删除进行到了哪里。凭回执即可查询，因为客户端已不存在。",
    "get_spend": (
        "为这个客户端的作品付给 AI 服务的费用，按日期、服务和用途列出。room 是今天还可以花费的金额。"
        "日期以 UTC 计；金额以货币单位的百万分之一计，不作换算。管理员为所有客户端设的上限可能更早用完。"
    ),
    "create_ticket": "取得一个短期凭证，在不能发送请求头时用它打开事件流。",
    "edit_artwork": "修改给出的各项，其余不变。用旧故事或旧画制作影片时，要等它完成才能更换。",
    "delete_artwork": "把作品放进回收站，保留 RETAIN_DELETED_DAYS 天。重复调用没有影响。",
    "restore_artwork": "从回收站取回作品。重复调用没有影响。",
    "regenerate_artwork": "为作品再制作一部影片，作为下一个版本；之前的版本保留。",
    "create_artwork_of_key": "用已上传的画创建作品。重复调用得到同一个作品。",
    "presign_audio": "为作品的录音申请上传地址。",
    "commit_audio": "检查上传的录音，并用它替换作品原来的录音。",
    "transcribe_artwork": "在制作影片之前，写下并整理录音里的故事。",
    "refine_artwork": "在制作影片之前，整理故事。",
    "generate_artwork": "为作品制作影片，与 regenerate 相同。",
    "create_job_of_key": "用已上传的画申请制作影片。",
    "get_artwork_of_film": "影片背后的故事。",
    "presign_upload": "申请一个上传地址。只能用它上传这一种类型、这么多字节的一个文件。",
    "commit_media": "检查上传的文件，并使它可用。重复提交得到同一个媒体。",
    "upload_file": (
        "以表单方式经服务器上传一个文件，用于无法直接访问存储的客户端。"
        "文件放在 file 字段，或 image、audio、video 字段；没有说明类型时由内容判断。artworkId 是它所属的作品。"
        "检查与提交上传时相同。"
    ),
    "list_images": "这个客户端的图片，新的在前。",
    "list_jobs": "这个客户端的任务，新的在前；可以只看某种状态、某一类或某个作品的。",
    "cancel_job": (
        "取消任务。正在进行的工作会被中断，并通知服务商；billing 说明可能的费用。"
        "还没有开始的任务立即取消，其他任务等一切停下后取消。"
    ),
    "capture_job": (
        "把完成的影片取回画廊。任务本来就会自己这样做，这里只是让它提前查看。"
        "正在查看，或因上次查看失败而再次查看时为 202；否则为 200 和任务现状，影片完成后带有地址。"
        "不会向服务商重复下单。"
    ),
    "get_events": (
        "编号 since 或 Last-Event-ID 之后发生的事，不填则从现在开始，为服务器推送事件（SSE）。"
        "Accept: application/json 时返回到目前为止的列表。同一地址也接受 WebSocket。"
    ),
    "get_profile": "孩子的资料。每一项都可以不填。",
    "change_profile": "填写孩子的资料，或用 null 收回。",
    "get_report": "最近几周或几个月的作品说明了什么：都由作品测得，每条结论都列出依据的作品，绝不编造。",
    "get_report_picture": "报告的图表，为一张图片。",
    "get_report_document": "可打印的报告（A4）。",
    "read_media": (
        "图片、录音或影片的内容，地址来自其他接口的返回。"
        "地址本身带有授权（e、t、s）；没有时需要拥有者的 X-Client-Id。download 让浏览器保存文件。"
    ),
    "create_artwork": "用已提交的媒体创建作品。重复调用得到同一个作品。",
    "get_artwork": "一个作品，包括影片、文字和最新的任务。",
    "list_gallery": "这个客户端的作品，新的在前。",
    "create_job": "申请制作影片。同一个故事的影片正在制作时，返回正在进行的任务。",
    "get_job": "任务进行到了哪里。",
    "retry_job": "让失败的任务从失败的那一步继续；之前完成的都保留。",
    "resolve_job": (
        "为停在 needs_attention 的任务做决定：再请求一次、认定服务方已接受，或放弃。"
        "再请求一次可能重复付费，因为前一次请求也许已被接受。放弃后任务为已取消。"
    ),
    "stream_job_events": (
        "任务的服务器推送事件（SSE），从头开始，或从 Last-Event-ID 之后开始，直到任务结束。"
        "流结束后浏览器会重新连接；没有新的事件时，204 让它停下。"
    ),
    "get_analysis": "对作品画面的最新解读。",
    "complete_task": (
        "通知任务已完成或有变化：我们会立即查看，除此之外不采信通知里的任何内容。"
        "用 Standard Webhooks 的三个请求头签名，密钥在 TASK_WEBHOOK_SECRETS；"
        "没有这些请求头时，在 signature 字段里签名：t=<秒>,v1=<hex>，对 <秒>.<task_id>、attempt（省略时为 1）和 status "
        "三者以换行相连的文字作 HMAC-SHA256。task_id 是调用的幂等键，或发送方自己的编号。"
    ),
    "receive_callback": (
        "服务商用随调用得到的地址通知有变化。服务商签名的内容必须正确。唯一的作用是立即查看这次调用。"
    ),
    "get_metrics": "本进程回应了哪些请求、用了多久，以及队列、任务和步骤的情况，为 Prometheus 文本格式。",
    "healthz": "数据库和文件存储有响应、等待的工作有人处理时为 200，否则为 503。",
}
"""By the name of the handler. The first sentence is the summary."""
