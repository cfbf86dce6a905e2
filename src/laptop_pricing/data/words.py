"""The schema's words in Portuguese, for the web form.

By the name of a column, or by the text itself. What is not here is shown as the schema says it, so
that another schema needs no list, and a new word moves neither data nor model.
"""

PORTUGUESE = {
    "laptop": "laptop",
    "laptops": "laptops",
    "price": "preço",
    "year": "anos",
    "brand": "Marca",
    "processor_brand": "Fabricante do processador",
    "processor_name": "Processador",
    "processor_gnrtn": "Geração do processador",
    "ram_gb": "Memória RAM",
    "ram_type": "Tipo da memória RAM",
    "ssd": "SSD, 0 se não há",
    "hdd": "HD, 0 se não há",
    "os": "Sistema operacional",
    "os_bit": "Sistema de 32 ou 64 bits",
    "graphic_card_gb": "Placa de vídeo, 0 se não tem própria",
    "weight": "Categoria",
    "warranty": "Garantia, 0 se não há",
    "touchscreen": "Tela sensível ao toque",
    "msoffice": "Com Microsoft Office",
    "Not Available": "não consta",
    "Casual": "Comum",
    "Gaming": "Para jogos",
    "ThinNlight": "Fino e leve",
    "the laptop has an SSD or an HDD": "o laptop tenha SSD ou HD",
    "an APPLE runs Mac": "um APPLE use Mac",
    "Ryzen 7 or 9 with 4 GB of RAM or less": "Ryzen 7 ou 9 com 4 GB de RAM ou menos",
    "M1 with DDR memory or an Intel generation": "M1 com memória DDR ou geração da Intel",
    "32-bit system with more than 4 GB of RAM": "Sistema de 32 bits com mais de 4 GB de RAM",
    "processor of another maker than it says": "Processador de outro fabricante",
    "The prices look like converted list prices of new laptops (INR x 0.067), not like second-hand "
    "purchases.": "Os preços parecem preços de tabela de laptops novos, convertidos (INR x 0.067), "
    "e não de compras de usados.",
}
