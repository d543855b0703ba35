"""What a pretrained language model keeps when it is given eyes and aligned, and the page that says so.

In reading order:

language_model  the language model of a checkpoint, without pictures
perplexity      of English prose that Python itself ships
rules           that judge the answer to an instruction
instructions    a hundred of them
skill           both measures of one checkpoint, kept in a file
comparison      of two, item by item
rows            rows of the table, with their floors
tables          tables of the page, and `markdown` beneath them
teaching        how the model was given eyes
page            `docs/methods/real-language.md` from the committed results
"""
