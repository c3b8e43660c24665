-- Content types by file name.

local M = {}

local UTF8 = "; charset=utf-8"
local BYTES = "application/octet-stream"

local TEXT = {
  css = "text/css",
  csv = "text/csv",
  htm = "text/html",
  html = "text/html",
  ics = "text/calendar",
  js = "text/javascript",
  lua = "text/x-lua",
  md = "text/markdown",
  mjs = "text/javascript",
  txt = "text/plain",
  vtt = "text/vtt",
}

local OTHER = {
  avif = "image/avif",
  bmp = "image/bmp",
  flac = "audio/flac",
  gif = "image/gif",
  gz = "application/gzip",
  ico = "image/x-icon",
  jpeg = "image/jpeg",
  jpg = "image/jpeg",
  json = "application/json",
  m4a = "audio/mp4",
  map = "application/json",
  mp3 = "audio/mpeg",
  mp4 = "video/mp4",
  ogg = "audio/ogg",
  opus = "audio/ogg",
  otf = "font/otf",
  pdf = "application/pdf",
  png = "image/png",
  svg = "image/svg+xml",
  tar = "application/x-tar",
  ttf = "font/ttf",
  wasm = "application/wasm",
  wav = "audio/wav",
  weba = "audio/webm",
  webm = "video/webm",
  webmanifest = "application/manifest+json",
  webp = "image/webp",
  woff = "font/woff",
  woff2 = "font/woff2",
  xml = "application/xml",
  zip = "application/zip",
}

--- Content type for a file's name; text is taken to be UTF-8.
---@param path string
---@return string
function M.type(path)
  local extension = path:match "%.(%w+)$"
  extension = extension and extension:lower()
  local text = TEXT[extension or ""]
  return text and text .. UTF8 or OTHER[extension or ""] or BYTES
end

return M
