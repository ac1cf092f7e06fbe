"""The texts of ``msg`` by code, in English and Chinese. Codes are for machines."""

from typing import Literal

from kernel.db.states import OrderState, Words

Language = Literal["en", "zh"]


def in_languages(words: Words) -> dict[Language, str]:
    """Return words of a state's table by language."""
    return {"en": words[0], "zh": words[1]}


TEXTS: dict[str, dict[Language, str]] = {
    **{state.value: in_languages(state.traits.message) for state in OrderState},
    "internal_error": {
        "en": "an internal error; the operator's log has the details",
        "zh": "内部错误，详情请见运维日志",
    },
    "worker_lost": {
        "en": "the worker died again and again while running this order",
        "zh": "执行进程多次异常退出",
    },
    "timed_out": {
        "en": "the handler exceeded its time limit again and again",
        "zh": "处理程序多次超过时限",
    },
    "transaction_ended": {
        "en": "a statement of the handler ended its transaction; part of the work is stored",
        "zh": "处理程序中的语句提前结束了事务，部分写入已保存",
    },
    "keeps_breaking": {
        "en": "the database kept ending this order's transaction",
        "zh": "数据库多次中断该工单的事务",
    },
    "too_many_retries": {
        "en": "the handler asked for more retries than it allows itself",
        "zh": "处理程序的重试次数已达上限",
    },
    "waits_too_often": {
        "en": "the handler waited again and again, each time for what was there already",
        "zh": "处理程序反复等待已满足的条件",
    },
    "secrets_gone": {
        "en": "the order's secret arguments have been deleted; submit a new order",
        "zh": "工单的机密参数已删除，请重新提交工单",
    },
    "unknown_select_tag": {
        "en": "no worker knows this select_tag",
        "zh": "没有可处理该 select_tag 的执行进程",
    },
    "invalid_json": {
        "en": "the body must be one JSON object in UTF-8",
        "zh": "请求体必须是 UTF-8 编码的 JSON 对象",
    },
    "not_json": {
        "en": "the content type must be application/json",
        "zh": "Content-Type 必须是 application/json",
    },
    "body_too_large": {"en": "the body is too large", "zh": "请求体过大"},
    "invalid_order": {"en": "the order is not valid", "zh": "参数错误"},
    "invalid_query": {"en": "the query string is not valid", "zh": "查询参数错误"},
    "idempotency_key_reused": {
        "en": "the idempotency key was used before with another body",
        "zh": "幂等键已用于不同的请求",
    },
    "unauthenticated": {"en": "credentials are missing or wrong", "zh": "缺少凭证或凭证错误"},
    "key_expired": {
        "en": "this API key has expired or was revoked",
        "zh": "该密钥已过期或被吊销",
    },
    "misdirected": {
        "en": "this service is not known by that host name; "
        "its operator sets KERNEL_PUBLIC_URL or KERNEL_HOSTS",
        "zh": "此服务不接受该主机名；请由管理员设置 KERNEL_PUBLIC_URL 或 KERNEL_HOSTS",
    },
    "forbidden": {"en": "these credentials do not allow that", "zh": "无权执行该操作"},
    "not_found": {"en": "there is no such thing", "zh": "未找到"},
    "method_not_allowed": {"en": "that method is not allowed here", "zh": "不支持该请求方法"},
    "conflict": {"en": "its state does not allow that", "zh": "当前状态不允许该操作"},
    "too_many_requests": {"en": "too many requests; slow down", "zh": "请求过于频繁"},
    "unavailable": {"en": "not possible right now; try again", "zh": "服务暂时不可用，请重试"},
    "secrets_locked": {
        "en": "secrets cannot be opened right now; the operator has the key",
        "zh": "暂时无法解封密钥材料，请联系运维",
    },
    "too_many_pending": {
        "en": "too many of your orders are waiting; try again later",
        "zh": "等待执行的工单过多，请稍后重试",
    },
    "too_many_waiting": {
        "en": "too many of your orders wait for their time; try again later",
        "zh": "等待到期执行的工单过多，请稍后重试",
    },
    "expired": {
        "en": "the order had not begun by its not_after",
        "zh": "工单未能在 not_after 之前开始执行",
    },
    "batch_warning": {
        "en": "{bad} of {total} orders did not succeed",
        "zh": "{total} 个工单中有 {bad} 个未成功",
    },
    "bad_request": {"en": "the request is not valid HTTP", "zh": "请求无效"},
}


def text(code: str, language: Language) -> str:
    """Return the text for ``code``, or ``code`` itself when it has none."""
    return TEXTS.get(code, {}).get(language, code)
